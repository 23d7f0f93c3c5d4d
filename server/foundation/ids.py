"""Ids: UUIDv7 inside, prefixed text on the wire.

The text is `<prefix>_<26 characters>`: the 128 bits in Crockford's base32, lower case, so that it sorts as the UUID
does and cannot be mistaken for a secret.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH: Final = 26

ORGANIZATION: Final = "org"
USER: Final = "user"
MEMBERSHIP: Final = "mem"
SESSION: Final = "ses"
KEY: Final = "key"
TRANSACTION: Final = "txn"
USAGE_EVENT: Final = "use"
REQUEST: Final = "req"
LEASE: Final = "lease"

NewId = Callable[[], UUID]
"""Makes a fresh id."""


def uuid7() -> UUID:
    """A UUIDv7 of this moment (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def to_text(prefix: str, value: UUID) -> str:
    """The id as callers see it, for instance `key_01kaz…`."""
    number = value.int
    characters = [_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(characters)}"


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
