"""What this process holds of one counter: plain numbers, changed without waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LIFE_SECONDS: Final = 20.0
"""How long Valkey counts what a process holds after it was last heard of."""
SLOT_LIFE_SECONDS: Final = 6.0
"""The same of slots of which some are taken: callers wait for those of a dead process."""
FAIR_PART: Final = 4
"""Free units may be such a part of what is left; the script divides it by the processes, too."""
SLICE_PART: Final = 0.65
"""Free units may be used for so much of their life, by the holder's clock."""
RENEW_SECONDS: Final = 4.0
"""What changed is told anew so often; what others could use, at the next look."""
SLOT_RENEW_SECONDS: Final = 1.5
"""The same of slots that are taken, changed or not."""
IDLE_RENEW_SECONDS: Final = 8.0
"""What did not change is told anew so often."""
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
    told_life: float = LIFE_SECONDS
    """Seconds from then on that Valkey counts it."""
    is_short: bool = False
    """Whether Valkey gave less than was wished for."""
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

    @property
    def is_changed(self) -> bool:
        """Whether Valkey has other numbers."""
        return (self.charged, self.running, self.free) != self.told

    def remaining(self, capacity: int) -> int:
        """Units left, as far as is known here: what we took since is counted."""
        left = capacity - self.others - self.charged - self.running
        return max(0, left)

    def is_half_empty(self, capacity: int) -> bool:
        """Whether less than half is left."""
        return 2 * self.remaining(capacity) < capacity

    def needs_telling(self, now: float) -> bool:
        """Whether Valkey should hear of it."""
        free, running, charged = self.free, self.running, self.charged
        known_charged, known_running, known_free = self.told
        silence = now - self.told_time
        if charged == known_charged and running == known_running and free == known_free:
            pause = IDLE_RENEW_SECONDS if self.told_life == LIFE_SECONDS else SLOT_RENEW_SECONDS
            return silence > pause and free + running > 0
        if silence > (RENEW_SECONDS if self.told_life == LIFE_SECONDS else SLOT_RENEW_SECONDS):
            return True
        if free > 0 and known_free == 0:
            # Others would be refused for good, instead of calling it back.
            return True
        # Units that only moved from one hand to the other can wait.
        return not free + running or free + running + charged != known_charged + known_running + known_free
