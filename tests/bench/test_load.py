"""The load generator counts right, and does not take a broken answer for a good one."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.child import ProgramFailed
from bench.generator import Measurement, http_load, measure
from bench.provider import stats
from bench.workload import chat_bodies, write_lines

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunked(*pieces: bytes) -> bytes:
    return HEAD + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@contextmanager
def canned_server(answer: bytes, *, at_once: bool = True) -> Iterator[tuple[int, list[bytes]]]:
    """Gives every request the same bytes, whole or one by one; yields its port and what it was asked."""
    asked: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = self.rfile.readline()
                    if not line:
                        return
                    head += line
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
                asked.append(head + self.rfile.read(length))
                pieces = [answer] if at_once else [answer[index : index + 1] for index in range(len(answer))]
                try:
                    for piece in pieces:
                        self.wfile.write(piece)
                except OSError:
                    return
                if b"\r\nConnection: close\r\n" in answer:
                    return

    class Server(socketserver.ThreadingTCPServer):
        # Connections that the load leaves open at its end are answered by threads that end with the process's.
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


def load(tmp_path: Path, core: int, port: int, **options: object) -> Measurement:
    keys = write_lines(tmp_path / "keys", ["key-a", "key-b", "key-c"])
    settings: dict[str, object] = {"connections": 2, "warm_up": 0, "seconds": 0.2} | options
    command = http_load(port, keys=keys, **settings)  # type: ignore[arg-type]
    return measure(command, core=core, log=tmp_path / "load.log", read_cpu=dict)


def test_unary_requests_are_counted_as_the_provider_counts_them(
    start_double: Callable[..., int], tmp_path: Path, some_core: int
) -> None:
    port = start_double("burst", tokens=5)
    bodies = write_lines(tmp_path / "bodies", chat_bodies(stream=False, max_tokens=5))

    result = load(tmp_path, some_core, port, bodies=bodies, connections=4, seconds=1).load

    # What was on its way when the time was over reached the provider but not the count.
    assert result.requests <= stats(port)["requests"] <= result.requests + 4
    assert result.errors == result.events == result.reconnects == 0
    assert result.requests > 100
    assert 0 < result.latency_p50 <= result.latency_p99 <= result.latency_max <= 1e6
    assert result.requests_per_second == pytest.approx(result.requests / result.seconds, rel=0.01)


@pytest.mark.parametrize("pace", ["paced=1000", "robin", "burst"])
def test_events_are_counted_as_the_provider_counts_them(
    start_double: Callable[..., int], tmp_path: Path, some_core: int, pace: str
) -> None:
    port = start_double(pace, tokens=5)
    bodies = write_lines(tmp_path / "bodies", chat_bodies(stream=True, max_tokens=5))

    result = load(tmp_path, some_core, port, bodies=bodies, connections=4).load

    counted = stats(port)
    # A stream: the role, 5 tokens, the reason for the end, usage; [DONE] is no event here, but one at the provider.
    assert result.requests * 8 <= result.events <= (result.requests + 4) * 8
    assert result.requests <= counted["streams"] <= result.requests + 4
    assert result.events + result.requests <= counted["events"] <= result.events + result.requests + 4 * 9
    assert 0 < result.first_event_p50 <= result.latency_p50


def test_the_warm_up_is_not_counted(start_double: Callable[..., int], tmp_path: Path, some_core: int) -> None:
    port = start_double("burst", tokens=5)
    bodies = write_lines(tmp_path / "bodies", chat_bodies(stream=False, max_tokens=5))

    result = load(tmp_path, some_core, port, bodies=bodies, warm_up=0.4, seconds=0.1).load

    assert 0.1 <= result.seconds < 0.4
    assert 0 < result.requests < stats(port)["requests"] / 2


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("answer", "events"),
    [
        (chunked(EVENT, EVENT, DONE), 2),
        (chunked(EVENT + EVENT + EVENT[:4], EVENT[4:] + DONE[:8], DONE[8:]), 3),
        (chunked(b": ping\n\n" + EVENT, DONE), 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\ndata: {}\n\ndata", 0),
    ],
)
def test_answers_are_read_however_they_are_cut(
    tmp_path: Path, some_core: int, answer: bytes, events: int, *, at_once: bool
) -> None:
    with canned_server(answer, at_once=at_once) as (port, _):
        result = load(tmp_path, some_core, port, path="/").load

    assert result.requests > 2
    assert result.events in range(result.requests * events, (result.requests + 2) * events + 1)


@pytest.mark.parametrize(
    "answer",
    [
        chunked(EVENT),
        chunked(EVENT, b'data: {"error":{"message":"gone"}}\n\n', DONE),
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the connection ends",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nshort",
        HEAD + b"zz\r\n",
    ],
    ids=["no end", "error in the stream", "429", "no length", "short", "bad chunk"],
)
def test_a_bad_answer_fails_the_run(tmp_path: Path, some_core: int, answer: bytes) -> None:
    with canned_server(answer) as (port, _), pytest.raises(ProgramFailed, match="bad answers"):
        load(tmp_path, some_core, port, path="/")


def test_keys_and_bodies_go_round(tmp_path: Path, some_core: int) -> None:
    bodies = write_lines(tmp_path / "bodies", ['{"a":1}', '{"long":"enough"}', '{"b":2}'])
    with canned_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, asked):
        load(tmp_path, some_core, port, bodies=bodies, connections=1)

    pairs = {
        (request.partition(b"Bearer ")[2].split(b"\r\n")[0], request.partition(b"\r\n\r\n")[2]) for request in asked
    }
    assert len(pairs) == 9
    assert all(request.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n") for request in asked)


def test_cpu_time_is_the_difference_over_the_measured_time(
    start_double: Callable[..., int], tmp_path: Path, some_core: int
) -> None:
    port = start_double("burst")
    readings = iter([{"worker": 10.0}, {"worker": 10.5, "postgresql": 0.25}])
    keys = write_lines(tmp_path / "keys", ["key"])
    command = http_load(port, keys=keys, path="/v1/models", connections=1, warm_up=0, seconds=0.1)

    measured = measure(command, core=some_core, log=tmp_path / "load.log", read_cpu=lambda: next(readings))

    assert measured.cpu_seconds == {"worker": 0.5, "postgresql": 0.25}
    assert measured.microseconds_per_request("supervisor", "worker") == 500_000 / measured.load.requests
    assert measured.microseconds_per_request("valkey") is None
    assert measured.microseconds_per_event("worker") is None


def test_at_a_rate_as_many_are_sent_as_were_asked_for(
    start_double: Callable[..., int], tmp_path: Path, some_core: int
) -> None:
    port = start_double("burst", tokens=5)
    bodies = write_lines(tmp_path / "bodies", chat_bodies(stream=False, max_tokens=5))

    result = load(tmp_path, some_core, port, bodies=bodies, connections=8, rate=200, seconds=1).load

    assert result.turned_away == 0
    assert result.requests + result.unsent == pytest.approx(200 * result.seconds, abs=10)


def test_at_a_rate_a_503_is_a_call_turned_away(tmp_path: Path, some_core: int) -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
    with canned_server(refusal) as (port, _):
        result = load(tmp_path, some_core, port, rate=100).load
    assert result.requests == result.errors == 0
    assert result.turned_away > 0
    assert 0 < result.refusal_p50 <= result.refusal_p99
    with canned_server(refusal) as (port, _), pytest.raises(ProgramFailed, match="status 503"):
        load(tmp_path, some_core, port)
