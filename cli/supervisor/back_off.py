"""How long to wait before a child that ended is started again."""

from typing import Final

FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 30.0
# A child that lived this long starts over with the shortest wait.
HEALTHY_SECONDS: Final = 60.0


class BackOff:
    """Waits that double from 0.1 s to 30 s while a child keeps ending soon after its start."""

    def __init__(self) -> None:
        """The first end is answered with the shortest wait."""
        self._next = FIRST_SECONDS

    def after(self, lived: float) -> float:
        """Seconds to wait after a child that lived for `lived` seconds."""
        if lived >= HEALTHY_SECONDS:
            self._next = FIRST_SECONDS
        wait = self._next
        self._next = min(LONGEST_SECONDS, wait * 2)
        return wait
