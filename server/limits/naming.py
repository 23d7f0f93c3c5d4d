"""Limits by the names that plans, keys and callers give them."""

from __future__ import annotations

from typing import Final

from server.foundation.bounds import Bounds
from server.limits.limits import Limit, Per, Scope, Unit

CONCURRENCY: Final = "concurrency"
_COUNTED: Final = {
    f"{unit}_per_{per}": (unit, per)
    for unit, per in (
        (Unit.REQUESTS, Per.MINUTE),
        (Unit.REQUESTS, Per.HOUR),
        (Unit.REQUESTS, Per.DAY),
        (Unit.TOKENS, Per.MINUTE),
        (Unit.TOKENS, Per.DAY),
        (Unit.TOKENS, Per.MONTH),
    )
}
_BURSTING: Final = "requests_per_minute"


def limits_of(bounds: Bounds, scope: Scope, subject: str = "") -> tuple[Limit, ...]:
    """The limits that the bounds set for one subject."""
    found = [
        Limit(scope, unit, per, allowance, subject, bounds.burst if name == _BURSTING else None)
        for name, (unit, per) in _COUNTED.items()
        if (allowance := getattr(bounds, name)) is not None
    ]
    if bounds.concurrency is not None:
        found.append(Limit(scope, Unit.CONCURRENCY, None, bounds.concurrency, subject))
    return tuple(found)


def name_of(limit: Limit) -> str:
    """The limit's name among bounds, for instance "requests_per_day"."""
    return CONCURRENCY if limit.per is None else f"{limit.unit}_per_{limit.per}"
