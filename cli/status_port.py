"""A small HTTP port for operators of processes that have none: `/health`, `/health/ready`, `/metrics`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import orjson
import prometheus_client

from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.limits import Limits
from bridge.http.request import Request
from bridge.http.server import Handle, Server
from cli.supervisor.exposure import reachable_host
from cli.supervisor.ports import listen

_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_LIMITS = Limits(head_bytes=16 * 1024, head_seconds=10, body_seconds=10, stall_seconds=10, keep_seconds=75)


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
    server = Server(_pages(ready), _LIMITS, time.time)
    try:
        await server.start(listening)
        yield {"status": f"http://{reachable_host(options.status_host)}:{port}"}
    finally:
        server.close()
        listening.close()


def _pages(ready: Callable[[], Awaitable[bool]]) -> Handle:
    async def show(request: Request) -> Answer:
        if request.fault is not None:
            return _answer(400, b"", closes=True)
        if request.method not in ("GET", "HEAD"):
            return _answer(405, b"")
        match request.target.partition("?")[0]:
            case "/health":
                return _answer(200, orjson.dumps({"status": "healthy"}))
            case "/health/ready":
                serves = await ready()
                body = orjson.dumps({"status": "ready" if serves else "unavailable"})
                return _answer(200 if serves else 503, body)
            case "/metrics":
                return _answer(200, prometheus_client.generate_latest(), _METRICS)
        return _answer(404, b"")

    return show


def _answer(status: int, body: bytes, content_type: str = _JSON, closes: bool = False) -> Answer:
    return Answer(status, AnswerFields({"content-type": content_type}), body, closes)
