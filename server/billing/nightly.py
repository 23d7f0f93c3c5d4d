"""The books are checked every night, by whichever process begins first; every process shows the last result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import structlog
from prometheus_client import Gauge

from server.billing import nightly_store
from server.billing.nightly_store import Run
from server.billing.verify import Report, verify
from server.foundation.clock import Clock
from server.storage.database import Database, Role

LOOK_SECONDS: Final = 60.0
"""Pause between two looks at whether a night's run is due."""

_HOUR: Final = time(3, 0, tzinfo=UTC)
_CHECK_SECONDS: Final = 900.0
"""A check that takes longer is ended, so that no snapshot is held all day."""
_DEAD_AFTER: Final = timedelta(hours=6)
"""A run that has not ended by then died with its process: the next process begins it again."""

_OK: Final = Gauge(
    "tollbridge_verify_ok", "1 where the last nightly check found the books right, else 0.", multiprocess_mode="livemax"
)
_TIME: Final = Gauge(
    "tollbridge_verify_time_seconds", "When the last nightly check ended, Unix time.", multiprocess_mode="livemax"
)

Check = Callable[[Database, float], Awaitable[Report]]


@dataclass(frozen=True, slots=True)
class NightlyVerify:
    """Runs `verify` once a night at 03:00 UTC. Nights that nobody was there for are made up for by one run."""

    database: Database
    clock: Clock
    check: Check = verify

    async def look(self) -> None:
        """Checks the books if this night's run is due and nobody has begun it; shows the last result.

        Raises `DatabaseUnavailableError`.
        """
        now = self.clock.now()
        async with self.database.privileged(Role.KEEPER) as transaction:
            mine = await nightly_store.begin(transaction, night_of(now), now, now - _DEAD_AFTER)
        if mine:
            await self._run(night_of(now))
        async with self.database.privileged(Role.KEEPER) as transaction:
            last = await nightly_store.last(transaction)
        if last is not None:
            _show(last)

    async def _run(self, night: date) -> None:
        report = await self.check(self.database, _CHECK_SECONDS)
        async with self.database.privileged(Role.KEEPER) as transaction:
            await nightly_store.end(transaction, night, self.clock.now(), report.ok, report.lines)
        log = structlog.get_logger("verify")
        if report.ok:
            log.info("books_right", night=night.isoformat(), lines=report.lines)
        else:
            log.error("books_wrong", night=night.isoformat(), first=report.first_difference)


def night_of(now: datetime) -> date:
    """The date of the last 03:00 UTC."""
    at = now.astimezone(UTC)
    return at.date() if at.timetz() >= _HOUR else at.date() - timedelta(days=1)


async def last_run(database: Database) -> Run | None:
    """The last night's run that ended, if there was one. Raises `DatabaseUnavailableError`."""
    async with database.privileged(Role.KEEPER) as transaction:
        return await nightly_store.last(transaction)


def _show(run: Run) -> None:
    _OK.set(1 if run.ok else 0)
    _TIME.set(run.end_time.timestamp())
