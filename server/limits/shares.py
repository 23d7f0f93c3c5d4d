"""What this process holds of one counter: plain numbers, changed without waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LIFE_SECONDS: Final = 6.0
"""How long Valkey counts what a process holds after it was last heard of."""
SLICE_SECONDS: Final = 4.0
"""How long free units may be used after they were last told, by the holder's clock; well within their life."""
RENEW_SECONDS: Final = 1.5
"""What is held is told anew so often, whether it changed or not; what others could use, at the next look."""
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
    """Units of calls that have not ended: worst cases, slots, requests of a calendar's window."""
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
    others: int = 0
    """Units that others had taken when Valkey last answered."""
    reset_time: float = 0.0
    """When all of it would be free again."""
    kept: bool = False
    """Whether its group keeps it, to tell Valkey of it."""

    @property
    def held(self) -> int:
        """What Valkey is to count for this process beside what is charged."""
        return self.free + self.running

    def remaining(self, capacity: int) -> int:
        """Units left, as far as is known here: what we took since is counted."""
        left = capacity - self.others - self.charged - self.running
        return max(0, left)

    def needs_telling(self, now: float) -> bool:
        """Whether Valkey should hear of it."""
        current = (self.charged, self.running, self.free)
        if current == self.told:
            return self.held > 0 and now - self.told_time > RENEW_SECONDS
        # Units that only moved from one hand to the other can wait.
        return sum(current) != sum(self.told) or not self.held or now - self.told_time > RENEW_SECONDS
