"""Whether what the platform stands on answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from server.foundation.clock import Clock

Probe = Callable[[], Awaitable[bool]]
"""Asks a dependency for the least that it can do; False where it does not answer."""

DATABASE: Final = "database"
_PATIENCE_SECONDS: Final = 2.5


@dataclass(frozen=True, slots=True)
class Dependency:
    """One dependency, as it was just found."""

    name: str
    up: bool
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Health:
    """The platform at one moment."""

    time: datetime
    uptime_seconds: int
    dependencies: tuple[Dependency, ...]

    @property
    def healthy(self) -> bool:
        """Whether every dependency answers."""
        return all(dependency.up for dependency in self.dependencies)


class HealthChecks:
    """Asks the dependencies, each for at most 2.5 seconds and all at once."""

    def __init__(self, clock: Clock, probes: Mapping[str, Probe], patience: float = _PATIENCE_SECONDS) -> None:
        """`probes` by name; one of them is `DATABASE`."""
        self._clock = clock
        self._probes = dict(probes)
        self._patience = patience
        self._begin = clock.monotonic()

    def now(self) -> datetime:
        """The server's time."""
        return self._clock.now()

    async def check(self) -> Health:
        """All of them."""
        found = await asyncio.gather(*(self.dependency(name) for name in self._probes))
        return Health(self._clock.now(), int(self._clock.monotonic() - self._begin), tuple(found))

    async def dependency(self, name: str) -> Dependency:
        """One of them."""
        begin = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._patience):
                up = await self._probes[name]()
        except TimeoutError:
            up = False
        return Dependency(name, up, round((self._clock.monotonic() - begin) * 1000, 3))
