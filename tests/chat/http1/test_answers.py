"""What answers look like on the wire, and what is none."""

from __future__ import annotations

import pytest

from server.chat.providers.transport import ResponseTooLargeError, TransportError
from tests.chat.http1.raw_server import OK, RawServer, answers, client, fetch, nothing, stays

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize(
    ("wire", "status", "body"),
    [
        (OK, 200, b"{}"),
        (_CHUNKED + b"2\r\n{}\r\n3;x=y\r\nabc\r\n0\r\n\r\n", 200, b"{}abc"),
        (_CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\nX-Other: 9\r\n\r\n", 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", 429, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 7\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 1\r\n\r\nx", 302, b"x"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
async def test_every_framing(wire: bytes, status: int, body: bytes, split: bool) -> None:
    pieces = _byte_by_byte(wire) if split else [wire]
    async with RawServer(answers(*pieces)) as server, client() as transport:
        assert await fetch(transport, server.url) == (status, body)


async def test_fields_are_read_whatever_their_shape() -> None:
    fields = [b"X-Empty:", b"X-Request-ID:  r1 ", b"vary: a", b"Vary: b", b"X-Odd: \xe9", b"Content-Length: 0"]
    head = b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"
    for pieces in ([head], _byte_by_byte(head)):
        async with RawServer(answers(*pieces)) as server, client() as transport:
            response = await transport.post(server.url, {}, b"", nothing)
            assert response.headers["x-request-id"] == "r1"
            assert response.headers["vary"] == "a, b"
            assert response.headers["x-odd"] == "\xe9"
            assert response.headers["x-empty"] == ""
            response.close()


async def test_interim_fields_are_not_the_answers() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nX-Request-ID: wrong\r\n\r\n"
    async with RawServer(answers(interim + OK)) as server, client() as transport:
        response = await transport.post(server.url, {}, b"", nothing)
        assert "x-request-id" not in response.headers
        response.close()


async def test_one_read_gives_all_that_came_together() -> None:
    async with (
        RawServer(answers(_CHUNKED + b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")) as server,
        client() as transport,
    ):
        response = await transport.post(server.url, {}, b"", nothing)
        assert await response.read() == b"abc"
        assert await response.read() == b""
        response.close()


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaa\r\n" * 8000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_what_is_no_answer(wire: bytes) -> None:
    async with RawServer(answers(*(wire[i : i + 9000] for i in range(0, len(wire), 9000)))) as server:
        async with client() as transport:
            with pytest.raises(TransportError):
                await transport.post(server.url, {}, b"{}", nothing)
        assert server.connections == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        _CHUNKED + b"4\r\nhalf\r\n",
        _CHUNKED + b"4\r\nhalf\r\nnonsense\r\n",
        _CHUNKED + b"4\r\nhalf\r\n1;" + b"x" * 70_000,
        _CHUNKED + b"4\r\nhalf\r\n0\r\n" + b"X: aaaaaaaa\r\n" * 8000,
    ],
)
async def test_a_body_that_breaks_gives_what_came_and_then_fails(wire: bytes) -> None:
    pieces = [wire[i : i + 9000] for i in range(0, len(wire), 9000)]
    async with (
        RawServer(answers(*pieces)) as server,
        client() as transport,
    ):
        response = await transport.post(server.url, {}, b"{}", nothing)
        came = b""
        with pytest.raises(TransportError):
            while data := await response.read():
                came += data
        assert came == b"half"
        response.close()


async def test_no_more_is_read_than_allowed() -> None:
    async with (
        RawServer(stays(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)) as server,
        client() as transport,
    ):
        response = await transport.post(server.url, {}, b"{}", nothing)
        with pytest.raises(ResponseTooLargeError):
            await response.read_all(999)
        response.close()
