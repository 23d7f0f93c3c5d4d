"""What a limit is, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.foundation.windows import Span

MOST: Final = 10**11
"""Allowances above it mean the same as it: the arithmetic stays exact, and nobody gets there."""


class Scope(StrEnum):
    """Whose calls a limit counts."""

    KEY = "key"
    USER = "user"
    ORGANIZATION = "organization"
    MODEL = "model"
    PLAN = "plan"
    """The organization's, counted apart from `ORGANIZATION`, which is a limit beside the plan's."""
    CALLER = "caller"
    """One key's or person's calls beside chat, which `KEY` and `USER` do not count."""
    ADDRESS = "address"


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Charged at a call's worst case, and put right when it is settled."""
    CONCURRENCY = "concurrency"
    """Calls at once."""


class Per(StrEnum):
    """The time that an allowance is for."""

    SECOND = "second"
    MINUTE = "minute"
    """Like `SECOND`, it flows back continuously (GCRA): there is no boundary to wait for."""
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    """Like `HOUR` and `DAY`, a window of the calendar in the organization's zone."""


SPANS: Final = {Per.HOUR: Span.HOUR, Per.DAY: Span.DAY, Per.MONTH: Span.MONTH}
"""The calendar windows; the others flow."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `allowance` units `per` time for one subject. Raises ValueError for what is none."""

    scope: Scope
    unit: Unit
    per: Per | None
    """None for concurrency, and only for it."""
    allowance: int
    """Not negative; 0 admits nothing."""
    subject: str = ""
    """The id within the scope (the text of a UUID for keys and users, the id of a model); empty where there is one."""
    burst: int | None = None
    """For seconds and minutes: most units at once. Default: the allowance."""

    def __post_init__(self) -> None:
        if self.allowance < 0 or (self.burst is not None and self.burst < 0):
            raise ValueError("a limit is not negative")
        if (self.per is None) != (self.unit is Unit.CONCURRENCY):
            raise ValueError("concurrency has no window, and everything else has one")
        if self.burst is not None and self.per not in {Per.SECOND, Per.MINUTE}:
            raise ValueError("only limits of a second or a minute have a burst")

    @property
    def capacity(self) -> int:
        """Most units that can be taken at once."""
        return min(self.allowance if self.burst is None else self.burst, MOST)


@dataclass(frozen=True, slots=True)
class LimitState:
    """Where a limit stands after a decision, as far as this process knows."""

    limit: Limit
    remaining: int
    """Units that could still be taken; never negative."""
    reset_after: float
    """Seconds until all of it is free again, if nothing more is taken; 0 for concurrency."""

    @property
    def share(self) -> float:
        """What remains as a part of the whole: the smaller, the tighter."""
        return self.remaining / self.limit.capacity if self.limit.capacity else 0.0
