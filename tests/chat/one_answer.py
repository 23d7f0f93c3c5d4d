"""A provider that answers every request with the same bytes, for what the double does not speak."""

from __future__ import annotations

import asyncio


class OneAnswer:
    """Serves on a loopback port; entering gives the base URL."""

    def __init__(
        self, content: bytes, kind: str = "text/event-stream", head: str = "", drops_second: bool = False
    ) -> None:
        """`head`: status line and header fields where they are not the usual ones. `drops_second`: a connection is
        kept, but closed without an answer once a second request came over it."""
        usual = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
        self._head = (head or usual).encode()
        self._content = content
        self._drops_second = drops_second
        self.requests = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._read_request(reader)
        writer.write(self._head + self._content)
        await writer.drain()
        if self._drops_second:
            await self._read_request(reader)
        writer.close()
        await writer.wait_closed()

    async def _read_request(self, reader: asyncio.StreamReader) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        self.requests += 1
