"""A real SMTP server on a loopback port, for as long as a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP


@asynccontextmanager
async def receiving(handler: object) -> AsyncIterator[str]:
    """The server's URL; `handler` is aiosmtpd's."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="localhost", loop=loop), "127.0.0.1", 0)
    async with server:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
