"""How a request is read: as the platform's own API wants it, or all that proto3 JSON allows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadRules:
    """What is taken. The defaults are the platform's own: narrow, so that nothing is stored that nobody meant."""

    canonical: bool = False
    """All that proto3 JSON allows: unknown numbers of open enums, "NaN" and "Infinity", NUL in text; and in a path or
    query 1, t, TRUE and the like for a boolean."""
    ignore_unknown: bool = False
    """Names that no field has are passed over instead of refused."""
    path_wins: bool = False
    """A path variable replaces what the body says about its field, instead of having to agree with it."""


NARROW = ReadRules()
"""The platform's own API."""
