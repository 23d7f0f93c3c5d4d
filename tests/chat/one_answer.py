"""A provider that answers every request with the same bytes, for what the double does not speak."""

from __future__ import annotations

import asyncio


class OneAnswer:
    """Serves on a loopback port; entering gives the base URL."""

    def __init__(self, content: bytes, kind: str = "text/event-stream", head: str = "") -> None:
        """`head`: status line and header fields where they are not the usual ones."""
        usual = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
        self._head = (head or usual).encode()
        self._content = content
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
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(self._head + self._content)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
