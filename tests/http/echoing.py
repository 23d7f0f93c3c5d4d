"""A server whose handler tells what it got, and a raw client for it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.limits import Limits
from bridge.http.request import Request
from bridge.http.server import Server

PATIENT = Limits(head_bytes=16_384, head_seconds=30, body_seconds=30, stall_seconds=30, keep_seconds=30)
Handle = Callable[[Request], Awaitable[Answer]]


async def echo(request: Request) -> Answer:
    """What came, as JSON; a broken request as 400."""
    if request.fault is not None:
        return Answer(400, AnswerFields(), request.fault.name.encode())
    body = await request.body.read()
    told = {"method": request.method, "target": request.target, "body": body.decode("latin-1")}
    return Answer(200, AnswerFields({"content-type": "application/json"}), json.dumps(told).encode())


@dataclass
class Listening:
    """A server, where it listens, and what reached its handler."""

    server: Server
    port: int
    targets: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """Targets whose handler ended, cancelled ones too."""

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to it."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *pieces: bytes) -> bytes:
        """Everything that comes back until the server ends the connection."""
        reader, writer = await self.open()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(15):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def listening(handle: Handle = echo, **limits: Any) -> AsyncIterator[Listening]:
    """Serves with `handle` until the block ends; `limits` change `PATIENT`."""

    async def noted(request: Request) -> Answer:
        served.targets.append(request.target)
        try:
            return await handle(request)
        finally:
            served.ended.append(request.target)

    server = Server(noted, replace(PATIENT, **limits), lambda: 1_700_000_000.0)
    sock = socket.create_server(("127.0.0.1", 0))
    served = Listening(server, sock.getsockname()[1])
    await server.start(sock, sweep=0.05)
    try:
        yield served
    finally:
        server.close()
        async with asyncio.timeout(10):
            while server.connections:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.005)


def answers_in(stream: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer with a length, in order; interim answers have none and are left out."""
    found = []
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: ([0-9]+)", head)
        size = 0 if length is None else int(length.group(1))
        if not head.startswith(b"HTTP/1.1 1"):
            found.append((int(head[9:12]), rest[:size]))
        stream = rest[size:]
    return found
