"""A clock that moves when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """`server.foundation.clock.Clock`, standing still at noon of 21 November 2026 until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Moves both the wall clock and the monotonic one."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
