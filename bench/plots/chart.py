"""What a plot shows: rows of marks on one logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1.0, 2.0, 5.0)
_FEW_DECADES: Final = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """One value of a row."""

    series: int
    """Which of the chart's series it belongs to."""
    value: float
    """Above 0."""


@dataclass(frozen=True, slots=True)
class Row:
    """Marks of one thing, each on a line of its own."""

    label: str
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Bound:
    """A line across all rows: a goal, a floor."""

    label: str
    value: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot. Raises ValueError where there is nothing to draw."""

    title: str
    axis: str
    """What is measured, with its unit."""
    series: Sequence[str]
    rows: Sequence[Row]
    bounds: Sequence[Bound] = ()

    def __post_init__(self) -> None:
        values = [mark.value for row in self.rows for mark in row.marks]
        if not values or min(values) <= 0:
            raise ValueError(f"{self.title}: nothing above 0 to draw")

    @property
    def axis_bounds(self) -> tuple[float, float]:
        """From a step of 1, 2 or 5 below everything to one above."""
        values = [mark.value for row in self.rows for mark in row.marks] + [bound.value for bound in self.bounds]
        return step_below(min(values)), step_above(max(values))

    @property
    def ticks(self) -> list[float]:
        """Where the axis is labelled: every step of few decades, else the decades alone."""
        low, high = self.axis_bounds
        steps = _STEPS if math.log10(high / low) <= _FEW_DECADES else _STEPS[:1]
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        return [tick for tick in ticks if low <= tick * 1.000001 and tick <= high * 1.000001]

    def place(self, value: float) -> float:
        """Where a value stands on the axis, 0 to 1."""
        low, high = self.axis_bounds
        return math.log10(value / low) / math.log10(high / low)


def step_below(value: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is less than `value`."""
    decade = 10.0 ** math.floor(math.log10(value))
    below = [step * decade for step in _STEPS if step * decade < value * 0.999999]
    return max(below) if below else 5.0 * decade / 10.0


def step_above(value: float) -> float:
    """The least 1, 2 or 5 times a power of ten that is more than `value`."""
    decade = 10.0 ** math.floor(math.log10(value))
    return min(step * decade for step in (*_STEPS, 10.0) if step * decade > value * 1.000001)


def number(value: float) -> str:
    """As people read it: three digits that count, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    text = f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".")
