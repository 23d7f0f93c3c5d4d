"""Ids: UUIDv7 inside, prefixed text on the wire.

The text is `<prefix>_<26 characters>`: the 128 bits in Crockford's base32, lower case, so that it sorts as the UUID
does and cannot be mistaken for a secret.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH: Final = 26
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
"""Two characters for ten bits."""

_SHIFTS: Final = range(120, -1, -10)
_RANDOM_BYTES: Final = 10
_AHEAD: Final = 256
"""Ids that one reading of the system's randomness is enough for: it costs half of making an id."""

_random: Final[list[int]] = []
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

ORGANIZATION: Final = "org"
USER: Final = "user"
MEMBERSHIP: Final = "mem"
SESSION: Final = "ses"
KEY: Final = "key"
TRANSACTION: Final = "txn"
USAGE_EVENT: Final = "use"
REQUEST: Final = "req"
LEASE: Final = "lease"

_FREE_BITS: Final = (1 << 128) - 1 & ~(0xF << 76) & ~(0x3 << 62)
_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0x2 << 62

NewId = Callable[[], UUID]
"""Makes a fresh id."""


def uuid7() -> UUID:
    """A UUIDv7 of this moment (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    try:
        random = _random.pop()
    except IndexError:
        random = _draw()
    value = time.time_ns() // 1_000_000 << 80 | random
    return UUID(int=value & _FREE_BITS | _VERSION_AND_VARIANT)


def _draw() -> int:
    """80 random bits, with more of them for the next ids."""
    drawn = os.urandom(_AHEAD * _RANDOM_BYTES)
    parts = [drawn[start : start + _RANDOM_BYTES] for start in range(0, len(drawn), _RANDOM_BYTES)]
    first, *others = (int.from_bytes(part, "big") for part in parts)
    _random.extend(others)
    return first


def first_uuid7(time: datetime, shift: timedelta = timedelta()) -> UUID:
    """The smallest UUIDv7 of the moment so much later; the first or the last of all where that has none."""
    milliseconds = (time - _UNIX) // _MILLISECOND + shift // _MILLISECOND
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


def to_text(prefix: str, value: UUID) -> str:
    """The id as callers see it, for instance `key_01kaz…`."""
    number = value.int
    pairs = [_PAIRS[number >> shift & 1023] for shift in _SHIFTS]
    return f"{prefix}_{''.join(pairs)}"


def from_text(prefix: str, text: str) -> UUID | None:
    """The id behind the text, or None where the text is no id of this prefix. Never raises: unreadable is unknown."""
    start, _, digits = text.partition("_")
    if start != prefix or len(digits) != _LENGTH or digits[0] > "7":
        return None
    number = 0
    for character in digits:
        value = _VALUES.get(character)
        if value is None:
            return None
        number = number << 5 | value
    return UUID(int=number)
