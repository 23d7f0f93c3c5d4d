"""A server that does with each connection what a test says, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Self

from server.chat.providers.http1.patience import Patience
from server.chat.providers.http1.transport import PooledTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
PATIENCE = Patience(connect=5.0, first_byte=5.0, idle=5.0)


class Peer:
    """One accepted connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Reads one whole request: its head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return head + await self.reader.readexactly(length)

    async def play(self, *pieces: bytes) -> None:
        """Sends each piece as one segment."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def closed(self) -> None:
        """Returns once the client has closed."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


Script = Callable[[Peer], Awaitable[object]]


class RawServer:
    """Plays one script a connection, the last one again and again; closes the connection after it."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        try:
            await script(Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


def answers(*pieces: bytes) -> Script:
    """Reads a request, then sends the pieces and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.play(*pieces)

    return script


def stays(*pieces: bytes) -> Script:
    """Answers every request with the pieces, for as long as the client stays."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.play(*pieces)

    return script


@asynccontextmanager
async def client(
    patience: Patience = PATIENCE, tls: ssl.SSLContext | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[PooledTransport]:
    """A transport that reads no variables of this process."""
    transport = PooledTransport(patience, tls, environment or {})
    try:
        yield transport
    finally:
        await transport.close()
        await asyncio.sleep(0)


def nothing() -> None:
    """For whoever does not ask when a request was sent."""


async def fetch(transport: PooledTransport, url: str, body: bytes = b"{}") -> tuple[int, bytes]:
    """One whole exchange, its connection given back."""
    response = await transport.post(url, {"Content-Type": "application/json"}, body, nothing)
    try:
        return response.status, await response.read_all(1 << 20)
    finally:
        response.close()
