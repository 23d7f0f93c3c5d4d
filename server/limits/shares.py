"""What this process holds of one counter: plain numbers, changed without waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SLICE_SECONDS: Final = 1.0
"""How long free units may be used after Valkey last answered: so soon a hanging Valkey stops every call."""
LIFE_SECONDS: Final = 6.0
"""How long Valkey counts what a process holds after it was last heard of."""
RENEW_SECONDS: Final = 1.0
"""What is held is told anew so often, whether it changed or not."""
UNKNOWN: Final = (-1, -1, -1)
"""Valkey may or may not have heard of the last request."""


@dataclass(slots=True, eq=False)
class Share:
    """One process's part of one counter (of one window, for a calendar's). Units of the limit; monotonic seconds.

    Valkey counts `charged + free + running` as taken; every request tells all three anew, so that an answer that was
    lost does no harm.
    """

    key: str
    start: int = 0
    """Of the window, Unix milliseconds; 0 for what has none."""
    end: int = 0
    free: int = 0
    """Units that calls may take without asking."""
    running: int = 0
    """Units of calls that have not ended: worst cases, slots."""
    charged: int = 0
    """Units that calls have used for good."""
    good_until: float = 0.0
    """Past it, what is free may not be taken."""
    told: tuple[int, int, int] = (0, 0, 0)
    """Charged, running and free as Valkey has them."""
    told_time: float = 0.0
    taken: int = 0
    """Units that calls took since `taken_since`: the demand."""
    taken_since: float = 0.0
    used: int = 0
    """Units that were taken by everybody when Valkey last answered, ours included."""
    reset_time: float = 0.0
    """When all of it would be free again."""
    kept: bool = False
    """Whether its group keeps it, to tell Valkey of it."""

    @property
    def held(self) -> int:
        """What Valkey is to count for this process beside what is charged."""
        return self.free + self.running

    @property
    def elsewhere(self) -> int:
        """Units that others took, as of the last answer."""
        charged, running, free = self.told
        return self.used - charged - running - free

    def remaining(self, capacity: int) -> int:
        """Units left, as far as is known here: what we took since is counted."""
        left = capacity - self.elsewhere - self.charged - self.running
        return max(0, left)

    def needs_telling(self, now: float) -> bool:
        """Whether Valkey should hear of it."""
        current = (self.charged, self.running, self.free)
        return current != self.told or (self.held > 0 and now - self.told_time > RENEW_SECONDS)

    def is_low(self, wish: int, now: float) -> bool:
        """Whether what is free will not do until the next look: too little, or its time ends."""
        return wish > self.free or (self.free > 0 and self.good_until - now < SLICE_SECONDS * 0.6)
