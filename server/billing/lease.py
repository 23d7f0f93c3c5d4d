"""A spend lease as its holder has it: money that this process may spend without asking the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

LEASE_SECONDS: Final = 60.0
"""How long calls are admitted against a lease that is not renewed."""

_CALLS: Final = 20
"""Worst cases that a lease is to cover."""

_AHEAD_SECONDS: Final = 10.0
"""Seconds of recent spend that a lease is to cover."""


@dataclass(slots=True, eq=False)
class Lease:
    """Everything in nano-dollars, times in monotonic seconds. Nothing here waits: between looking and taking no other
    call comes in."""

    id: UUID
    org_id: UUID
    funding: str
    plan_id: str
    scope: str
    """The one model that it pays for; empty for every model."""
    free: int
    """What new calls can take."""
    outside: int
    """What the organization had left to reserve beside it, when the database was last asked."""
    good_until: float
    """Past it no call is admitted."""
    opened: float
    used: float
    """When a call was last admitted."""
    taken: int = 0
    """Worst cases of calls that still run."""
    owed: int = 0
    """Costs of calls that ended and are not in the ledger yet."""
    admitted: int = 0
    """Worst cases of all calls since `since`."""
    since: float = 0.0
    lost: float = 0.0
    """When the answer to a change was lost last: the database may keep more than is known here. 0: never."""
    largest: int = 0
    """The largest worst case so far."""

    def take(self, amount: int, now: float) -> bool:
        """Sets `amount` aside for a call; False where the lease is past its time or too small."""
        if now >= self.good_until or self.free < amount:
            return False
        self.free -= amount
        self.taken += amount
        self.admitted += amount
        self.used = now
        self.largest = max(self.largest, amount)
        return True

    def settle(self, amount: int, charged: int) -> None:
        """The call ended: of its `amount`, `charged` is owed and the rest is free again."""
        self.taken -= amount
        self.free += amount - charged
        self.owed += charged

    @property
    def wanted(self) -> int:
        """What `free` should be: twenty worst cases or ten seconds of recent admissions, whichever is more."""
        seconds = max(self.used - self.since, 1.0)
        return max(_CALLS * self.largest, int(self.admitted / seconds * _AHEAD_SECONDS))

    @property
    def is_low(self) -> bool:
        """Whether more should be asked for, ahead of need."""
        return self.free * 2 < self.wanted

    @property
    def is_over(self) -> bool:
        """Whether no call stands against it any more, running or unsettled."""
        return self.taken == 0 and self.owed == 0

    @property
    def known(self) -> int:
        """All that stands against it or is free."""
        return self.free + self.taken + self.owed

    @property
    def available(self) -> int:
        """What the organization can still reserve, as far as is known here."""
        return self.outside + self.free


def first_wanted(worst: int) -> int:
    """What a lease is opened with, where nothing is known of the organization's spend."""
    return _CALLS * worst
