"""Counters that every call raises: added up in memory and written a few times a second.

Metrics lie in files that all processes share, and to write there takes ten times as long as to add two numbers. A
process that is killed takes the counts of its last quarter second with it.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

WRITE_SECONDS: Final = 0.25
"""How often `write` is to be called."""


class Counting:
    """What was counted since it was last written."""

    def __init__(self) -> None:
        self._raised: dict[Counter, float] = {}

    def add(self, counter: Counter, amount: float = 1) -> None:
        """Raises the counter, a labelled one of its family."""
        raised = self._raised
        raised[counter] = raised.get(counter, 0) + amount

    def write(self) -> None:
        """Brings everything to where metrics are read."""
        raised, self._raised = self._raised, {}
        for counter, amount in raised.items():
            counter.inc(amount)


counting: Final = Counting()
"""The process's own, as its metrics are."""
