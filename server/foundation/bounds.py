"""Upper bounds of use: what a plan, an organization, a person, a key or a model may be limited to."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper bounds; None: no such limit. All that are set apply, and 0 lets nothing through."""

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    burst: int | None = None
    """Requests at once within `requests_per_minute`; None: all of a minute's."""
    concurrency: int | None = None

    def __bool__(self) -> bool:
        """Whether anything is bounded."""
        return self is not UNBOUNDED and self != UNBOUNDED

    @property
    def bounds_use(self) -> bool:
        """Whether a day or a month holds only so many tokens."""
        return self.tokens_per_day is not None or self.tokens_per_month is not None

    def within(self, outer: Bounds) -> bool:
        """Whether these are no wider than `outer` in any kind."""
        return all(_within(getattr(self, name), getattr(outer, name)) for name in NAMES)

    def to_text(self) -> str:
        """JSON with the bounds that are set."""
        return json.dumps({name: value for name in NAMES if (value := getattr(self, name)) is not None})

    @classmethod
    def from_text(cls, text: str) -> Bounds:
        """What `to_text` wrote."""
        return cls(**json.loads(text)) if text != "{}" else UNBOUNDED


NAMES: Final = tuple(field.name for field in fields(Bounds))
"""Kinds of limits."""

UNBOUNDED: Final = Bounds()
"""No limits at all."""


def _within(inner: int | None, outer: int | None) -> bool:
    return outer is None or (inner is not None and inner <= outer)
