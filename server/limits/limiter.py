"""All limits of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

import structlog
from redis.asyncio import Redis

from server.foundation.clock import Clock
from server.limits.gate import Gate
from server.limits.group import Group
from server.limits.limits import Limit
from server.limits.metrics import Figures
from server.limits.rebuilding import UsedSoFar
from server.limits.reports import report_together
from server.limits.script import Script
from server.rpc.errors import UnavailableError

TEND_SECONDS: Final = 0.25
_UTC: Final = ZoneInfo("UTC")
_SIDE_BY_SIDE: Final = 16
"""Reports under way at a time."""

_log = structlog.get_logger("limits")


class Limiter:
    """Makes gates, and keeps what this process holds true: `start`, `tend` in a loop, `close`."""

    def __init__(
        self,
        valkey: Redis,
        used_so_far: UsedSoFar,
        clock: Clock,
        process_id: UUID,
        others_run: Callable[[], Awaitable[bool]],
        offset_ms: int = 0,
    ) -> None:
        """`others_run` tells whether another process has run for a while and may hold something; it is asked after
        Valkey lost what it counted. `offset_ms` moves Valkey's time, for tests."""
        self.script = Script(valkey, clock, offset_ms)
        self._used_so_far = used_so_far
        self._clock = clock
        self._process = process_id.hex
        self._others_run = others_run
        self._figures = Figures()
        self._groups: WeakValueDictionary[str, Group] = WeakValueDictionary()
        self._active: set[Group] = set()
        self._mark = ""
        """Of Valkey's memory, as it was last heard."""

    def gate(self, org_id: UUID, zone: ZoneInfo, limits: Sequence[Limit]) -> Gate:
        """The limits of a kind of call of an organization. Where two count the same, the stricter is kept.

        Made in microseconds, without asking anybody; keep it while its limits are the same.
        """
        return self._gate(str(org_id), org_id, zone, limits)

    def address_gate(self, address: str, limits: Sequence[Limit]) -> Gate:
        """Limits of a network address, by any text that stands for it: a decision of its own, about nobody's usage."""
        return self._gate(f"address:{address}", None, _UTC, limits)

    @property
    def holds(self) -> bool:
        """Whether there is anything of which Valkey must hear."""
        return bool(self._active)

    async def start(self) -> None:
        """Learns since when Valkey remembers. Where it is away that is learnt later."""
        try:
            self._mark = (await self.script.pulse()).mark
        except UnavailableError as error:
            _log.warning("limits cannot be counted", error=error.internal)

    async def tend(self) -> None:
        """Tells, renews and gives back what is held. To be called every `TEND_SECONDS`."""
        self._figures.show(sum(group.slices for group in self._active))
        if not self._active:
            return
        try:
            pulse = await self.script.pulse()
            if pulse.mark != self._mark:
                self._mark = pulse.mark
                for group in self._active:
                    group.tell_anew()
            for group in [group for group in self._active if group.tag in pulse.recalled]:
                group.give_back()
            busy = await report_together(list(self._active), self.script, self._clock)
        except UnavailableError as error:
            _log.debug("limits are not counted", error=error.internal)
            return
        await self._for_all(busy, Group.report)

    async def close(self) -> None:
        """Gives back what no call holds; the slots of calls that still run free themselves in time."""
        await self._for_all(list(self._active), Group.close)

    async def _for_all(self, chosen: Sequence[Group], work: Callable[[Group], Awaitable[None]]) -> None:
        groups = iter(chosen)

        async def some() -> None:
            for group in groups:
                try:
                    await work(group)
                except UnavailableError as error:
                    _log.debug("limits were not told", error=error.internal)

        await asyncio.gather(*(some() for _ in range(min(_SIDE_BY_SIDE, len(chosen)))))

    def _gate(self, tag: str, org_id: UUID | None, zone: ZoneInfo, limits: Sequence[Limit]) -> Gate:
        group = self._groups.get(tag)
        if group is None:
            group = self._groups[tag] = Group(
                tag,
                org_id,
                self._process,
                self.script,
                self._used_so_far,
                self._clock,
                self._figures,
                self._others_run,
                self._active,
            )
        kept: dict[object, Limit] = {}
        for limit in limits:
            counter = group.counter(limit, zone)
            known = kept.get(counter)
            if known is None or (limit.allowance, limit.capacity) < (known.allowance, known.capacity):
                kept[counter] = limit
        counters = [group.counter(limit, zone) for limit in kept.values()]
        return Gate(group, list(kept.values()), counters, self._clock.monotonic, self.script, self._figures)
