"""Figures of flushing."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

_FLUSHED: Final = Counter("tollbridge_flushed_calls_total", "Calls that were brought into the database in batches.")
_BATCHES: Final = Counter("tollbridge_flushes_total", "Batches of calls that were brought into the database.")
_FAILED: Final = Counter("tollbridge_flush_failures_total", "Batches that failed; each is tried again.")
_BAD_DEBT: Final = Counter(
    "tollbridge_bad_debt_nanodollars_total", "Nano-dollars of calls whose lease was gone; the platform bears them."
)


def count_flush(events: int) -> None:
    """One batch with so many new calls."""
    _BATCHES.inc()
    _FLUSHED.inc(events)


def count_failure() -> None:
    """One try that failed."""
    _FAILED.inc()


def count_bad_debt(nano: int) -> None:
    """Calls whose lease was gone."""
    _BAD_DEBT.inc(nano)
