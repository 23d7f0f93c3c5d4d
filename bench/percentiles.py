"""Percentiles by nearest rank, as the load generator has them."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """The least sample that so many percent of all do not exceed; 0 where there are none."""
    if not samples:
        return 0.0
    rank = -(-len(samples) * percent // 100)
    return sorted(samples)[max(int(rank), 1) - 1]
