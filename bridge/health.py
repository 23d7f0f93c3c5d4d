"""Pages for operators: is the process alive, does the server behind it serve, what do the meters say."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from bridge.caller import Call, Caller, Origin, Refusal
from bridge.catalog import Catalog, Method
from bridge.exchange import Exchange
from bridge.http.answer import Answer

_GET_HEALTH = "tollbridge.platform.v1.PlatformService.GetHealth"
_PATIENCE = 0.5
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Page = Callable[[Exchange], Awaitable[Answer]]


class Dependencies:
    """What the server stands on, asked of it within half a second."""

    def __init__(self, caller: Caller, method: Method) -> None:
        """`method` is `GetHealth` of the platform."""
        self._caller = caller
        self._method = method

    @classmethod
    def of(cls, caller: Caller, catalog: Catalog) -> Dependencies | None:
        """None where the server's contract has no such method."""
        found = next((method for method in catalog.methods if method.full_name == _GET_HEALTH), None)
        return None if found is None else cls(caller, found)

    async def read(self, origin: Origin) -> dict[str, str]:
        """ "up" or "down" by name; the server itself is "down" where it does not say."""
        reply = self._caller.call(Call(self._method.rpc_path, self._method.request_class(), (), origin, _PATIENCE))
        try:
            health: Any = await reply.read()
        except Refusal:
            return {"server": "down"}
        finally:
            await reply.aclose()
        return {"server": "up", **{each.name: each.status for each in health.dependencies}}


class HealthPages:
    """`/health` says that the process answers; `/health/ready` that calls would be served."""

    def __init__(
        self, caller: Caller, version: str, now: Callable[[], datetime], dependencies: Dependencies | None = None
    ) -> None:
        """`dependencies` tells of what the server stands on; None where it cannot."""
        self._dependencies = dependencies
        self._caller = caller
        self._version = version
        self._now = now
        self._started = time.monotonic()

    async def alive(self, exchange: Exchange) -> Answer:
        """200 as long as the process answers, whatever the server's dependencies do."""
        if self._dependencies is None:
            return exchange.answer(200, self._body("healthy"))
        return exchange.answer(200, self._body("healthy", dependencies=await self._dependencies.read(exchange.origin)))

    async def ready(self, exchange: Exchange) -> Answer:
        """200 where the server behind the bridge serves, else 503."""
        if await self._caller.ready():
            return exchange.answer(200, self._body("ready"))
        return exchange.answer(503, self._body("unavailable"))

    def _body(self, status: str, **more: object) -> bytes:
        now = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        return orjson.dumps(
            {
                "status": status,
                "timestamp": now.replace("+00:00", "Z"),
                "service": "tollbridge",
                "version": self._version,
                "uptime_seconds": round(time.monotonic() - self._started, 3),
                **more,
            }
        )


def metrics_page(render: Callable[[], bytes]) -> Page:
    """The page that shows what `render` gives, in Prometheus' text format."""

    async def show(exchange: Exchange) -> Answer:
        return exchange.answer(200, render(), METRICS_TYPE)

    return show
