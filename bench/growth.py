"""How the cost of a call grows with what stands in the database, and with the number of workers.

One Tollbridge grows from step to step, so that what came before is still there. Each step is measured with the same
traffic; where there are more keys than a second's calls, the warm-up lasts until each has been used.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.accounts import KEYS, ORGANIZATIONS, Key, make_accounts, make_idle_keys, make_organizations, owner_of
from bench.provider import provider_double
from bench.runner import Plan, measure_target, two_cores
from bench.scenarios import PACES, UNARY_1, UNARY_64
from bench.targets import OWN_GROUPS, Target, tollbridge
from bench.workload import write_lines

MANY_ORGANIZATIONS: Final = 10_000
SOME_ORGANIZATIONS: Final = 100
MANY_KEYS: Final = 1_000_000
_CALLS_A_SECOND: Final = 800
"""About what a busy core carries: how long the warm-up takes for many keys."""


@dataclass(frozen=True, slots=True)
class Point:
    """One step: what had grown, and what a call cost then."""

    series: str
    """"organizations", "keys" or "workers"."""
    size: int
    request_us: float
    """CPU microseconds of Tollbridge's own processes, at 64 connections."""
    postgresql_us: float
    """CPU microseconds of PostgreSQL a request, the same run."""
    p50_us: float
    """At one connection."""

    def line(self) -> str:
        """For people."""
        return (
            f"{self.size:,} {self.series}: {self.request_us:,.0f} us CPU a request, "
            f"{self.postgresql_us:,.0f} in PostgreSQL, p50 {self.p50_us:,.0f} us at one connection"
        )


def to_json(points: Sequence[Point]) -> list[dict[str, object]]:
    """Plain values for the JSON file."""
    return [asdict(point) for point in points]


@dataclass(slots=True)
class _Steps:
    """What all steps share, and the points so far."""

    plan: Plan
    folder: Path
    ports: dict[str, int]
    cores: tuple[int, int]
    progress: Callable[[str], None]
    points: list[Point] = field(default_factory=list)

    def started(self, name: str, workers: int = 1) -> AbstractContextManager[Target]:
        """A Tollbridge that has hardly anything in it yet."""
        own = self.folder / name
        own.mkdir()
        product_core, load_core = self.cores
        return tollbridge(
            own,
            self.ports,
            core=product_core,
            services_core=load_core,
            organizations=1,
            keys=1,
            workers=workers,
        )

    def step(self, target: Target, series: str, size: int, keys: Sequence[Key]) -> None:
        """Measures what a call costs with these keys, each used before the measured time."""
        self.progress(f"{size:,} {series}")
        target = replace(target, keys=write_lines(self.folder / "keys", [key.secret for key in keys]))
        warmed = replace(self.plan, warm_up=max(self.plan.warm_up, len(keys) / _CALLS_A_SECOND))
        busy = measure_target(warmed, self.folder, UNARY_64, target, self.cores[1])
        alone = measure_target(self.plan, self.folder, UNARY_1, target, self.cores[1])
        request_us, postgresql_us = (busy.microseconds_per_request(*names) for names in (OWN_GROUPS, ("postgresql",)))
        self.points.append(Point(series, size, request_us or 0.0, postgresql_us or 0.0, alone.load.latency_p50))

    def organizations(self) -> None:
        """One more step whenever the organizations have become a hundred times as many."""
        with self.started("organizations") as target:
            for count in (1, SOME_ORGANIZATIONS, MANY_ORGANIZATIONS):
                self.step(target, "organizations", count, make_accounts(target.data_dir, count, max(KEYS, count)))

    def keys_and_workers(self) -> None:
        """One worker, with few keys and with many, and two workers with few."""
        with self.started("one-worker") as target:
            keys = make_accounts(target.data_dir, ORGANIZATIONS, KEYS)
            self.step(target, "workers", 1, keys)
            self.points.append(replace(self.points[-1], series="keys", size=KEYS))
            _add_idle_keys(target, MANY_KEYS - KEYS)
            self.step(target, "keys", MANY_KEYS, keys)
        with self.started("two-workers", 2) as target:
            self.step(target, "workers", 2, make_accounts(target.data_dir, ORGANIZATIONS, KEYS))


def measure(plan: Plan, folder: Path, progress: Callable[[str], None]) -> list[Point]:
    """Every step, in turn. Raises CompilerError, ProgramFailed, TooFewCores."""
    cores = two_cores()
    os.sched_setaffinity(0, {cores[1]})
    with provider_double(PACES, core=cores[1], log=folder / "double.log", seconds=1800) as double:
        steps = _Steps(plan, folder, dict(zip(PACES, double, strict=True)), cores, progress)
        steps.organizations()
        steps.keys_and_workers()
    return steps.points


def _add_idle_keys(target: Target, count: int) -> None:
    async def make() -> None:
        async with owner_of(target.data_dir) as (owner, _):
            organizations = await make_organizations(owner, ORGANIZATIONS, datetime.now(UTC))
            await make_idle_keys(owner, organizations, count)
            await owner.execute("ANALYZE api_key")

    asyncio.run(make())
