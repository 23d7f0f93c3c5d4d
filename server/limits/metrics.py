"""Figures of limits. Counted in plain numbers on the way of a call, shown by the loop that tends the slices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Counter, Gauge

_DECISIONS: Final = Counter(
    "tollbridge_limit_decisions_total", "Decisions about limits, by where they were taken.", ["place"]
)
_REFUSED: Final = Counter(
    "tollbridge_limit_refusals_total", "Calls that a limit refused, by the limit that refused.", ["scope", "unit"]
)
_UNAVAILABLE: Final = Counter(
    "tollbridge_limit_unavailable_total", "Calls that were turned away because nobody could count them."
)
_REBUILT: Final = Counter("tollbridge_limit_rebuilds_total", "Counters that were rebuilt from the usage records.")
_SLICES: Final = Gauge(
    "tollbridge_limit_slices", "Counters of which this process holds units ahead of need.", multiprocess_mode="livesum"
)


@dataclass(slots=True)
class Figures:
    """What was counted since it was last shown."""

    in_memory: int = 0
    in_valkey: int = 0
    unavailable: int = 0
    rebuilt: int = 0
    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    """By scope and unit."""

    def refuse(self, scope: str, unit: str) -> None:
        """A limit refused a call."""
        self.refused[scope, unit] = self.refused.get((scope, unit), 0) + 1

    def show(self, slices: int) -> None:
        """Adds what was counted to the metrics, and begins anew."""
        _DECISIONS.labels("memory").inc(self.in_memory)
        _DECISIONS.labels("valkey").inc(self.in_valkey)
        _UNAVAILABLE.inc(self.unavailable)
        _REBUILT.inc(self.rebuilt)
        for (scope, unit), number in self.refused.items():
            _REFUSED.labels(scope, unit).inc(number)
        _SLICES.set(slices)
        self.in_memory = self.in_valkey = self.unavailable = self.rebuilt = 0
        self.refused.clear()
