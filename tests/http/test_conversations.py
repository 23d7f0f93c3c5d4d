"""Any number of requests of any size, cut and pipelined at will, their bodies read or not, by readers that lag now and
then: all are answered, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.http.answer import Answer
from bridge.http.connection import Connection
from bridge.http.fields import AnswerFields
from bridge.http.request import Request
from bridge.http.server import Server
from tests.http.echoing import PATIENT, answers_in

_SIZES = st.one_of(st.just(0), st.integers(1, 300), st.integers(1, 150_000))
_REQUESTS = st.lists(
    st.tuples(_SIZES, st.booleans(), st.sampled_from(["read", "late", "never"])), min_size=1, max_size=8
)
_TURNS = 3_000
_LAG = 7
"""For so many turns the reader is behind."""


class _Socket(asyncio.Transport):
    """Keeps what is written, and whether the other side may send."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reads = True
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        assert self.reads, "paused once"
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads, "resumed once"
        self.reads = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    close = abort = write_eof


async def _handle(request: Request) -> Answer:
    """Reads the body at once, after a few turns, or not at all, as the path says."""
    if "late" in request.target:
        for _ in range(5):
            await asyncio.sleep(0)
    size = -1 if "never" in request.target else len(await request.body.read())
    return Answer(200, AnswerFields(), f"{request.target} {size}".encode())


def _bytes_of(number: int, size: int, chunked: bool, how: str) -> bytes:
    body = b"x" * size
    head = f"POST /{number}/{how} HTTP/1.1\r\nHost: x\r\n".encode()
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % size + body
    parts = [body[start : start + 7_000] for start in range(0, size, 7_000)]
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts)
        + b"0\r\n\r\n"
    )


async def _talk(pieces: Sequence[bytes], lags: Sequence[int]) -> _Socket:
    server = Server(_handle, PATIENT, lambda: 0.0)
    sock, connection = _Socket(), Connection(server, asyncio.get_running_loop())
    connection.connection_made(sock)
    waiting = list(pieces)
    for turn in range(_TURNS):
        if turn in lags:
            connection.pause_writing()
        if turn - _LAG in lags and turn not in lags:
            connection.resume_writing()
        if waiting and sock.reads and not sock.closed:
            connection.data_received(waiting.pop(0))
        await asyncio.sleep(0)
        if sock.closed:
            break
    connection.connection_lost(None)
    return sock


@settings(max_examples=60, deadline=None)
@given(_REQUESTS, st.lists(st.integers(0, 10**7), max_size=10), st.lists(st.integers(0, 60), max_size=4))
def test_every_request_is_answered_in_its_turn(
    requests: list[tuple[int, bool, str]], places: list[int], lags: list[int]
) -> None:
    sent = b"".join(_bytes_of(number, *request) for number, request in enumerate(requests))
    ends = sorted({place % len(sent) for place in places} | {len(sent)})
    pieces = [sent[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]
    sock = asyncio.run(_talk(pieces, lags))
    expected = [
        f"/{number}/{how} {-1 if how == 'never' else size}".encode() for number, (size, _, how) in enumerate(requests)
    ]
    answered = [body for _, body in answers_in(bytes(sock.written))]
    assert answered == expected[: len(answered)]
    if sock.closed:
        assert "never" in requests[len(answered) - 1][2], "only a body that nobody read ends the connection"
    else:
        assert len(answered) == len(expected)
