"""The same server over TLS, over a Unix socket and under uvloop, whose transports differ in what they promise."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.request import Request
from bridge.http.server import Server
from tests.http.echoing import PATIENT, answers_in, echo, listening
from tests.rest.waiting import until
from tests.support.certificates import Authority

_GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
_LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def _tls(folder: Path) -> AsyncIterator[tuple[Server, int, ssl.SSLContext]]:
    authority = Authority(folder)
    pair = authority.issue("server")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(pair.certificate, pair.key)
    server = Server(echo, PATIENT, lambda: 0.0)
    sock = socket.create_server(("127.0.0.1", 0))
    await server.start(sock, ours, sweep=0.05)
    try:
        yield server, sock.getsockname()[1], ssl.create_default_context(cafile=authority.file)
    finally:
        server.close()
        await until(lambda: not server.connections)


async def test_requests_over_tls_are_answered_in_order_and_the_connection_ends(tmp_path: Path) -> None:
    async with _tls(tmp_path) as (_, port, theirs):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=theirs, server_hostname="localhost")
        body = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
        writer.write(_GET + body + _LAST)
        answers = answers_in(await asyncio.wait_for(reader.read(), 10))
        assert [status for status, _ in answers] == [200, 200, 200]
        writer.close()


async def test_a_tls_client_that_leaves_in_the_middle_of_a_body_is_gone(tmp_path: Path) -> None:
    async with _tls(tmp_path) as (server, port, theirs):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=theirs, server_hostname="localhost")
        writer.write(b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        await until(lambda: any(connection._request is not None for connection in server.connections))
        writer.transport.abort()
        await until(lambda: not server.connections)


async def test_http_on_a_tls_port_is_turned_away(tmp_path: Path) -> None:
    async with _tls(tmp_path) as (server, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_GET)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(100), 10)
        assert not server.connections
        writer.close()


async def test_a_unix_socket_has_no_address(tmp_path: Path) -> None:
    peers: list[str] = []

    async def note(request: Request) -> Answer:
        peers.append(request.connection.peer)
        return Answer(200, AnswerFields())

    server = Server(note, PATIENT, lambda: 0.0)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "socket"))
    await server.start(sock)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
    writer.write(_LAST)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
    assert peers == [""]
    writer.close()
    server.close()
    await until(lambda: not server.connections)


def test_it_serves_under_uvloop_too() -> None:
    async def talk() -> None:
        async with listening() as served:
            assert len(answers_in(await served.ask(_GET * 200 + _LAST))) == 201
            half_reader, half = await served.open()
            half.write(_GET)
            half.write_eof()
            assert len(answers_in(await asyncio.wait_for(half_reader.read(), 5))) == 1
            half.close()
            reader, writer = await served.open()
            writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            assert [status for status, _ in answers_in(await asyncio.wait_for(reader.read(), 5))] == []
            writer.close()

    uvloop.run(talk())
