"""Limiters of several processes, in one: each has its own id, its own connections and its own memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from server.limits.errors import LimitExceededError
from server.limits.gate import Admission, Gate
from server.limits.limiter import Limiter
from server.limits.limits import Limit, Per, Scope, Unit
from server.limits.rebuilding import UsedSoFar, WantedSum
from tests.support.clock import ManualClock

UTC_ZONE: Final = ZoneInfo("UTC")


class Records:
    """What the database of these tests says: the same for every window."""

    def __init__(self, used: int = 0) -> None:
        self.sum = used
        self.asked: list[Sequence[WantedSum]] = []

    async def used(self, _org_id: UUID, wanted: Sequence[WantedSum]) -> Sequence[int]:
        self.asked.append(wanted)
        return [self.sum] * len(wanted)


class Engine:
    """Limiters over one Valkey whose time is moved by hand, theirs with it."""

    def __init__(self, limiters: Sequence[Limiter], clock: ManualClock, records: Records, valkey: Redis) -> None:
        self.limiters = limiters
        self.clock = clock
        self.records = records
        self.valkey = valkey
        self.org_id = uuid4()

    def gates(self, *limits: Limit, zone: ZoneInfo = UTC_ZONE) -> list[Gate]:
        """The same limits in each of the processes."""
        return [limiter.gate(self.org_id, zone, limits) for limiter in self.limiters]

    def gate(self, *limits: Limit, zone: ZoneInfo = UTC_ZONE) -> Gate:
        """The limits in the first process."""
        return self.gates(*limits, zone=zone)[0]

    def go_to(self, moment: datetime) -> None:
        """Valkey's time is this from now on; it goes on from there. Nobody may use what was held until then."""
        for limiter in self.limiters:
            limiter.script.good_until = 0.0
            limiter.script.offset_ms = round(moment.timestamp() * 1000 - time.time() * 1000)

    @property
    def now(self) -> float:
        """Valkey's time, Unix seconds."""
        return time.time() + self.limiters[0].script.offset_ms / 1000

    @property
    def holds(self) -> bool:
        """Whether a process holds anything of which Valkey must hear."""
        return any(limiter.holds for limiter in self.limiters)

    def pass_time(self, seconds: float) -> None:
        """Valkey's time and the processes' go on by so much."""
        self.clock.advance(seconds)
        for limiter in self.limiters:
            limiter.script.offset_ms += round(seconds * 1000)

    async def tend(self) -> None:
        """What each process does four times a second."""
        for limiter in self.limiters:
            await limiter.tend()


@asynccontextmanager
async def open_engine(
    url: str, processes: int = 1, used_so_far: UsedSoFar | None = None, *, others: bool = False
) -> AsyncIterator[Engine]:
    """So many processes; `others` is what they are told of the rest of the deployment."""
    clock, records = ManualClock(), Records()

    async def others_run() -> bool:
        return others

    clients = [Redis.from_url(url) for _ in range(processes)]
    limiters = [Limiter(client, used_so_far or records, clock, uuid4(), others_run) for client in clients]
    try:
        yield Engine(limiters, clock, records, clients[0])
    finally:
        for client in clients:
            await client.aclose()


def requests(per: Per, allowance: int, scope: Scope = Scope.PLAN, subject: str = "") -> Limit:
    """A limit on requests."""
    return Limit(scope, Unit.REQUESTS, per, allowance, subject)


def tokens(per: Per, allowance: int, scope: Scope = Scope.PLAN, subject: str = "") -> Limit:
    """A limit on tokens."""
    return Limit(scope, Unit.TOKENS, per, allowance, subject)


def slots(allowance: int, scope: Scope = Scope.KEY, subject: str = "k") -> Limit:
    """A limit on calls at once."""
    return Limit(scope, Unit.CONCURRENCY, None, allowance, subject)


async def admitted(gate: Gate, calls: int, tokens_each: int = 0) -> list[Admission]:
    """What is let through of so many calls, one after another."""
    through = []
    for _ in range(calls):
        try:
            through.append(await gate.admit(tokens_each))
        except LimitExceededError:
            continue
    return through


@asynccontextmanager
async def tended(engine: Engine, but: Limiter | None = None) -> AsyncIterator[None]:
    """Processes tend their slices in the background, as they do in the product; one may be left out."""

    async def tend() -> None:
        while True:
            for limiter in engine.limiters:
                if limiter is not but:
                    await limiter.tend()
            await asyncio.sleep(0.01)
            engine.clock.advance(0.01)

    task = asyncio.create_task(tend())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def until(start: datetime, seconds: float) -> datetime:
    """So many seconds before or after a moment."""
    return start + timedelta(seconds=seconds)
