"""The provider double speaks OpenAI's wire and reports exactly what it emitted."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from bench.native import program
from bench.provider import stats

PACES = ["paced=1000", "robin", "burst"]
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": 'How are you, "friend"?'}]
WORDS = 6


def post(port: int, body: dict[str, Any]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "some/model", "messages": MESSAGES} | body))
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def events(content: bytes) -> list[dict[str, Any]]:
    """The JSON events of a stream that is framed as the specification says."""
    *blocks, rest = content.decode().split("\n\n")
    assert rest == ""
    assert blocks.pop() == "data: [DONE]"
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


@pytest.mark.parametrize("pace", PACES)
def test_stream_with_usage_is_framed_and_counted(start_double: Callable[..., int], pace: str) -> None:
    port = start_double(pace, tokens=7)

    status, content = post(port, {"stream": True, "stream_options": {"include_usage": True}})

    chunks = events(content)
    assert status == 200
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in chunks} == {"some/model"}
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    *spoken, last = chunks
    assert [chunk["usage"] for chunk in spoken] == [None] * 9
    deltas = [chunk["choices"][0]["delta"] for chunk in spoken]
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * 8
    assert "".join(delta.get("content", "") for delta in deltas) == " token" * 7
    assert [chunk["choices"][0]["finish_reason"] for chunk in spoken] == [None] * 8 + ["stop"]
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": WORDS, "completion_tokens": 7, "total_tokens": WORDS + 7}


def test_usage_that_was_not_asked_for_is_not_sent(start_double: Callable[..., int]) -> None:
    _, content = post(start_double("burst", tokens=3), {"stream": True})

    chunks = events(content)
    assert len(chunks) == 5
    assert all("usage" not in chunk for chunk in chunks)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 10),
        ({"max_tokens": 4}, 4),
        ({"max_completion_tokens": 3}, 3),
        ({"max_tokens": 4, "max_completion_tokens": 2}, 2),
        ({"max_tokens": 50}, 10),
        ({"max_tokens": 0}, 0),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_limits_cut_the_answer_and_the_bill(
    start_double: Callable[..., int], limits: dict[str, int], expected: int, *, stream: bool
) -> None:
    port = start_double("burst", tokens=10)

    _, content = post(port, limits | {"stream": stream, "stream_options": {"include_usage": True}})

    if stream:
        *_, finish, last = events(content)
    else:
        finish = last = json.loads(content)
        assert last["choices"][0]["message"]["content"] == " token" * expected
    assert last["usage"]["completion_tokens"] == expected
    assert finish["choices"][0]["finish_reason"] == ("length" if expected < 10 else "stop")
    assert stats(port)["completion_tokens"] == expected
    assert stats(port)["prompt_tokens"] == WORDS


def test_the_openai_sdk_understands_it(start_double: Callable[..., int]) -> None:
    port = start_double("robin", tokens=5)
    with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused", max_retries=0) as client:
        whole = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "one two three"}])
        stream = client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": [{"type": "text", "text": "one two three"}]}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        models = [model.id for model in client.models.list()]

    assert whole.choices[0].message.content == " token" * 5
    assert whole.usage == chunks[-1].usage
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 3
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == " token" * 5
    assert models == ["gpt-4o-mini"]


def test_connections_are_kept_and_pipelined_requests_answered_in_turn(start_double: Callable[..., int]) -> None:
    port = start_double("robin", tokens=2)
    bodies = [json.dumps({"model": name, "stream": name == "b"}).encode() for name in ("a", "b", "c")]
    head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"".join(head.format(len(body)).encode() + body for body in bodies))
        received = b""
        while received.count(b'"model":"c"') == 0:
            received += client.recv(65536)

    assert received.index(b'"model":"a"') < received.index(b'"model":"b"') < received.index(b"[DONE]")
    assert received.index(b"[DONE]") < received.index(b'"model":"c"')
    assert stats(port)["connections"] == 2


def test_a_slow_reader_gets_everything(start_double: Callable[..., int]) -> None:
    port = start_double("burst", tokens=20_000)
    body = json.dumps({"model": "m", "stream": True}).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        # The socket is full by now and the double is busy with others: it must come back to this stream.
        assert stats(port)["completion_tokens"] < 20_000
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += client.recv(65536)

    assert received.count(b'"content":" token"') == 20_000
    assert stats(port)["completion_tokens"] == 20_000


def test_a_pace_is_kept(start_double: Callable[..., int]) -> None:
    port = start_double("paced=5000", tokens=20)

    started = time.monotonic()
    post(port, {"stream": True})

    # 20 tokens, the reason for the end and [DONE] follow the first event at 5 ms each.
    assert time.monotonic() - started >= 22 * 0.005


def test_a_client_that_leaves_is_counted(start_double: Callable[..., int]) -> None:
    port = start_double("paced=1000", tokens=100_000)
    body = json.dumps({"model": "m", "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert client.recv(16)

    deadline = time.monotonic() + 5
    while stats(port)["streams_left"] == 0:
        assert time.monotonic() < deadline
    assert stats(port)["streams"] == 1


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
    ],
)
def test_what_it_does_not_know_is_refused(
    start_double: Callable[..., int], request_bytes: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", start_double("burst")), timeout=10) as client:
        client.sendall(request_bytes)
        assert client.recv(4096).split()[1] == status


def test_it_ends_by_itself() -> None:
    command: list[str | Path] = [program("double"), "--seconds", "1", "burst"]
    finished = subprocess.run(command, capture_output=True, timeout=10, check=False)

    assert finished.returncode == -signal.SIGALRM


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--parent", str(os.getpid() + 1), "burst"], 1), (["slowly"], 2), ([], 2)]
)
def test_it_does_not_start_without_a_parent_or_a_pace(arguments: list[str], status: int) -> None:
    finished = subprocess.run([program("double"), *arguments], capture_output=True, timeout=10, check=False)

    assert finished.returncode == status
    assert finished.stdout == b""
