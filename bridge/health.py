"""Pages for operators: is the process alive, does the server behind it serve, what do the meters say."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
from aiohttp.web import Response

from bridge.caller import Caller
from bridge.exchange import Exchange

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Page = Callable[[Exchange], Awaitable[Response]]


class HealthPages:
    """`/health` says that the process answers; `/health/ready` that calls would be served."""

    def __init__(self, caller: Caller, version: str, now: Callable[[], datetime]) -> None:
        self._caller = caller
        self._version = version
        self._now = now
        self._started = time.monotonic()

    async def alive(self, exchange: Exchange) -> Response:
        """200 as long as the process answers."""
        return exchange.answer(200, self._body("healthy"))

    async def ready(self, exchange: Exchange) -> Response:
        """200 where the server behind the bridge serves, else 503."""
        if await self._caller.ready():
            return exchange.answer(200, self._body("ready"))
        return exchange.answer(503, self._body("unavailable"))

    def _body(self, status: str) -> bytes:
        now = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        return orjson.dumps(
            {
                "status": status,
                "timestamp": now.replace("+00:00", "Z"),
                "service": "tollbridge",
                "version": self._version,
                "uptime_seconds": round(time.monotonic() - self._started, 3),
            }
        )


def metrics_page(render: Callable[[], bytes]) -> Page:
    """The page that shows what `render` gives, in Prometheus' text format."""

    async def show(exchange: Exchange) -> Response:
        return exchange.answer(200, render(), METRICS_TYPE)

    return show
