"""A small HTTP port for operators of processes that have none: `/health`, `/health/ready`, `/metrics`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import prometheus_client
from aiohttp import web

from cli.supervisor.exposure import reachable_host
from cli.supervisor.ports import listen

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class StatusOptions(Protocol):
    """Where the port is."""

    @property
    def status_host(self) -> str:
        """The address to listen on."""
        ...

    @property
    def status_port(self) -> int | None:
        """0: any free one; None: no port."""
        ...


@asynccontextmanager
async def status_port(options: StatusOptions, ready: Callable[[], Awaitable[bool]]) -> AsyncIterator[Mapping[str, str]]:
    """Serves the pages; gives `{"status": "http://host:port"}`, or nothing without a port. Raises ServeError."""
    if options.status_port is None:
        yield {}
        return
    listening = listen(options.status_host, options.status_port, "--status-port")
    port = listening.getsockname()[1]
    runner = web.AppRunner(_pages(ready), access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield {"status": f"http://{reachable_host(options.status_host)}:{port}"}
    finally:
        await runner.cleanup()
        listening.close()


def _pages(ready: Callable[[], Awaitable[bool]]) -> web.Application:
    async def alive(_: web.Request) -> web.Response:
        return web.json_response({"status": "healthy"})

    async def serves(_: web.Request) -> web.Response:
        if await ready():
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "unavailable"}, status=503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=prometheus_client.generate_latest(), headers={"Content-Type": _TYPE})

    pages = web.Application()
    pages.router.add_get("/health", alive)
    pages.router.add_get("/health/ready", serves)
    pages.router.add_get("/metrics", metrics)
    return pages
