"""Figures of spend leases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge

from server.billing.lease import Lease

_NANO: Final = 1_000_000_000

_OPENED: Final = Counter("tollbridge_leases_opened_total", "Spend leases that were opened.")
_RENEWED: Final = Counter("tollbridge_leases_renewed_total", "Spend leases that were grown or given new time.")
_RECALLED: Final = Counter("tollbridge_leases_recalled_total", "Recalls, because a call found money reserved.")
_HELD: Final = Gauge("tollbridge_leases", "Spend leases of this process.", multiprocess_mode="livesum")
_FREE: Final = Gauge(
    "tollbridge_leases_free_dollars", "What calls could still take from leases.", multiprocess_mode="livesum"
)


def count_grant() -> None:
    """A lease was opened."""
    _OPENED.inc()


def count_renewal() -> None:
    """A lease was grown or given new time."""
    _RENEWED.inc()


def count_recall() -> None:
    """Somebody asked for money back."""
    _RECALLED.inc()


def show(leases: Iterable[Lease]) -> None:
    """What is held now."""
    free = [lease.free for lease in leases]
    _HELD.set(len(free))
    _FREE.set(sum(free) / _NANO)
