"""What comes in pieces is read as if it came whole."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.http.parser import RequestParser
from bridge.http.request import Request
from tests.http.echoing import answers_in, listening

_LAST = b"GET /last?a=%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_REQUESTS = (
    b"GET /first HTTP/1.1\r\nHost: x\r\nX-Twice: a\r\nx-twice: b \r\n\r\n"
    b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nhello\r\n\r\nyou"
    b"\r\nPOST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"5;name=value\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-T: Host: evil\r\n\r\n"
    b"POST /h2c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\n"
    b"body"
    b"POST /h2c/chunks HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nbody\r\n0\r\n\r\n"
    b"GET /h2c/none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + _LAST
)
_EXPECTED = [
    ("GET", "/first", b""),
    ("POST", "/length", b"hello\r\n\r\nyou"),
    ("POST", "/chunks", b"hello0123456789"),
    ("POST", "/h2c", b"body"),
    ("POST", "/h2c/chunks", b"body"),
    ("GET", "/h2c/none", b""),
    ("GET", "/last?a=%20b", b""),
]


async def _read(pieces: list[bytes]) -> list[tuple[str, str, bytes]]:
    parser = RequestParser(16_384)
    for piece in pieces:
        parser.feed(piece)
    assert all(request.fault is None for request in parser.requests)
    assert parser.requests[0].fields.every("x-twice") == ["a", "b"]
    return [(request.method, request.target, await request.body.read()) for request in parser.requests]


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % len(data) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(_REQUESTS) - 1), max_size=12))
def test_requests_are_the_same_wherever_they_are_cut(places: list[int]) -> None:
    assert asyncio.run(_read(_cut(_REQUESTS, places))) == _EXPECTED


def test_requests_are_the_same_byte_by_byte() -> None:
    assert asyncio.run(_read([bytes([byte]) for byte in _REQUESTS])) == _EXPECTED


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 10_000), max_size=4))
def test_no_bytes_break_the_parser(noise: bytes, places: list[int]) -> None:
    parser = RequestParser(16_384)
    for piece in _cut(b"POST /a HTTP/1.1\r\nHost: x\r\n" + noise, places):
        parser.feed(piece)
    assert all(isinstance(request, Request) for request in parser.requests)


async def test_pipelined_requests_are_answered_in_order_over_a_socket_byte_by_byte() -> None:
    async with listening() as served:
        reader, writer = await served.open()
        for byte in _REQUESTS:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 15)
        writer.close()
    told = [(status, json.loads(body)) for status, body in answers_in(answer)]
    assert [(status, each["target"]) for status, each in told] == [(200, target) for _, target, _ in _EXPECTED]


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 70_000, 1_000_000])
async def test_bodies_of_every_size_come_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _parts(body, 5_000)) + b"0\r\n\r\n"
    async with listening() as served:
        whole = await served.ask(head + b"Content-Length: %d\r\n\r\n" % size + body)
        chunked = await served.ask(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    for answer in (whole, chunked):
        [(status, told)] = answers_in(answer)
        assert status == 200
        assert json.loads(told)["body"].encode("latin-1") == body


def _parts(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]
