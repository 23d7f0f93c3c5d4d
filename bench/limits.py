"""How fast limits are decided: from slices in memory, and one by one in Valkey.

Each decision is about five limits, and is settled and released as a call's is. A Valkey of its own runs on the load's
core; our part of the work, tending the slices included, runs on the product's.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from bench.ledger import Rate
from cli.embedded.valkey import EmbeddedValkey
from server.foundation.clock import SystemClock
from server.foundation.ids import uuid7
from server.limits.errors import LimitExceededError
from server.limits.gate import Gate
from server.limits.limiter import TEND_SECONDS, Limiter
from server.limits.limits import Limit, Per, Scope, Unit
from server.limits.rebuilding import WantedSum

GOAL: Final = 100_000.0
FLOOR: Final = 20_000.0
"""Decisions a second from slices, of five limits each, in one process."""
FROM_SLICES: Final = "limits decided from slices, one key"

SECONDS: Final = 3.0
ORGANIZATIONS: Final = 200
KEYS: Final = 1000
PAUSE_SECONDS: Final = 2.0
"""Between two calls of each key, where nothing but holding the slices is measured."""
_BATCH: Final = 50
"""Decisions between two moments at which other tasks have their turn, as between calls."""
_CALLERS: Final = 64
_PLENTY: Final = 10**9
_TOKENS: Final = 200
_ZONE: Final = ZoneInfo("Asia/Kolkata")


class _NothingUsed:
    """Organizations that have no records yet."""

    async def used(self, _org_id: UUID, wanted: Sequence[WantedSum]) -> Sequence[int]:
        return [0] * len(wanted)


def measure(folder: Path, product_core: int, load_core: int, progress: Callable[[str], None]) -> list[Rate]:
    """Every way, in turn. Raises EmbeddedServiceError."""
    os.sched_setaffinity(0, {load_core})
    server = EmbeddedValkey(folder / "valkey")
    progress("starting Valkey")
    server.start()
    try:
        os.sched_setaffinity(0, {product_core})
        return asyncio.run(_measure(server.url, progress))
    finally:
        server.stop()


async def _measure(url: str, progress: Callable[[str], None]) -> list[Rate]:
    rates = []
    async with _limiter(url) as limiter:
        progress("deciding in memory")
        one = [_gate(limiter, uuid7(), 0)]
        rates.append(await _from_slices(one, FROM_SLICES))
        orgs = [uuid7() for _ in range(ORGANIZATIONS)]
        many = [_gate(limiter, orgs[number % ORGANIZATIONS], number) for number in range(KEYS)]
        rates.append(await _from_slices(many, f"limits decided from slices, {KEYS:,} keys of {ORGANIZATIONS}"))
        progress("holding slices")
        rates.append(await _held(many, f"limits of rare calls, {KEYS:,} keys of {ORGANIZATIONS}"))
        progress("asking Valkey")
        rates.append(
            await _one_by_one([_gate(limiter, uuid7(), 0, ahead=False)], 1, "limits decided in Valkey, one caller")
        )
        gates = [_gate(limiter, org_id, 0, ahead=False) for org_id in orgs]
        rates.append(
            await _one_by_one(gates, _CALLERS, f"limits decided in Valkey, {_CALLERS} callers of {ORGANIZATIONS}")
        )
        none = limiter.gate(uuid7(), _ZONE, [Limit(Scope.PLAN, Unit.REQUESTS, Per.DAY, 0)])
        rates.append(await _one_by_one([none], _CALLERS, f"limits that refuse, {_CALLERS} callers of one"))
    return rates


@asynccontextmanager
async def _limiter(url: str) -> AsyncIterator[Limiter]:
    async with Redis.from_url(url) as valkey:
        limiter = Limiter(valkey, _NothingUsed(), SystemClock(), uuid7(), _nobody)
        await limiter.start()
        tending = asyncio.create_task(_tend(limiter))
        try:
            yield limiter
        finally:
            tending.cancel()
            await asyncio.wait({tending})
            await limiter.close()


async def _tend(limiter: Limiter) -> None:
    while True:
        await limiter.tend()
        await asyncio.sleep(TEND_SECONDS)


def _gate(limiter: Limiter, org_id: UUID, key: int, *, ahead: bool = True) -> Gate:
    """Five limits; without `ahead` nothing is held, as where calls are rare or little is left."""
    limits = [
        Limit(Scope.PLAN, Unit.REQUESTS, Per.MINUTE, _PLENTY),
        Limit(Scope.PLAN, Unit.REQUESTS, Per.DAY, _PLENTY),
        Limit(Scope.PLAN, Unit.TOKENS, Per.MONTH, _PLENTY),
        Limit(Scope.KEY, Unit.TOKENS, Per.DAY, _PLENTY, str(key)),
        Limit(Scope.KEY, Unit.CONCURRENCY, None, 1_000, str(key)),
    ]
    gate = limiter.gate(org_id, _ZONE, limits)
    if not ahead:
        for counter in gate.counters:
            counter.recalled_until = math.inf
    return gate


async def _from_slices(gates: list[Gate], title: str) -> Rate:
    for gate in gates:
        for _ in range(8):
            (await gate.admit(_TOKENS)).release()
    done, started, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < SECONDS:
        for number in range(done, done + _BATCH):
            gate = gates[number % len(gates)]
            admission = gate.take(_TOKENS) or await gate.admit(_TOKENS)
            admission.settle(_TOKENS // 10)
            admission.release()
        done += _BATCH
        await asyncio.sleep(0)
    return _rate(title, done, started, busy)


async def _held(gates: list[Gate], title: str) -> Rate:
    """Each key calls every `PAUSE_SECONDS`: what a call costs with all that it takes to keep its slices true."""
    done, started, busy = 0, time.perf_counter(), time.process_time()
    for number in range(round(len(gates) * max(1.0, 2 * SECONDS / PAUSE_SECONDS))):
        admission = await gates[number % len(gates)].admit(_TOKENS)
        admission.settle(_TOKENS // 10)
        admission.release()
        done += 1
        ahead = started + done * PAUSE_SECONDS / len(gates) - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
    return _rate(title, done, started, busy)


async def _one_by_one(gates: list[Gate], callers: int, title: str) -> Rate:
    done, started, busy = 0, time.perf_counter(), time.process_time()

    async def call(number: int) -> None:
        nonlocal done
        while time.perf_counter() - started < SECONDS:
            try:
                admission = await gates[number % len(gates)].admit(_TOKENS)
            except LimitExceededError:
                done += 1
                continue
            done += 1
            number += callers
            admission.settle(_TOKENS // 10)
            admission.release()

    await asyncio.gather(*(call(number) for number in range(callers)))
    return _rate(title, done, started, busy)


def _rate(title: str, done: int, started: float, busy: float) -> Rate:
    spent = time.process_time() - busy
    return Rate(title, done / (time.perf_counter() - started), spent / done * 1e6)


async def _nobody() -> bool:
    return False
