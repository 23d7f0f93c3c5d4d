"""What a key's secret looks like: prefix, 16 characters to find it by, 43 that nobody can guess, 6 against typos."""

from __future__ import annotations

import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ALPHABET_SET: Final = frozenset(_ALPHABET)
_PUBLIC: Final = 16
_HIDDEN: Final = 43
"""43 characters of 62 are 256 bits."""
_CHECKSUM: Final = 6
_SHOWN: Final = 4
_SPARE_BITS: Final = 64
"""Random bits beyond those needed, so that the remainder is even to one part in 2**64."""

RandomBytes = Callable[[int], bytes]
"""Unpredictable bytes, for instance `os.urandom`."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just drawn."""

    text: str
    public_id: str
    masked: str
    """Its start and end, for instance "tb_live_4f7k…9Qz2"."""


class SecretFormat:
    """Draws and reads secrets with one deployment's prefix."""

    def __init__(self, prefix: str, random_bytes: RandomBytes) -> None:
        self.prefix = prefix
        """What every secret starts with."""
        self._random_bytes = random_bytes
        self._length = len(prefix) + _PUBLIC + _HIDDEN + _CHECKSUM
        self.public_part = slice(len(prefix), len(prefix) + _PUBLIC)
        """Where the public id stands."""

    def draw(self) -> NewSecret:
        """A fresh secret."""
        public_id = self._draw(_PUBLIC)
        payload = self.prefix + public_id + self._draw(_HIDDEN)
        text = payload + checksum(payload)
        masked = f"{self.prefix}{public_id[:_SHOWN]}…{text[-_SHOWN:]}"
        return NewSecret(text, public_id, masked)

    def public_id(self, secret: str) -> str | None:
        """The part to find the key by, or None where the text cannot be one of our secrets: a typo, something else."""
        if len(secret) != self._length or not secret.startswith(self.prefix):
            return None
        if not _ALPHABET_SET.issuperset(secret[len(self.prefix) :]):
            return None
        if checksum(secret[:-_CHECKSUM]) != secret[-_CHECKSUM:]:
            return None
        return secret[self.public_part]

    def _draw(self, characters: int) -> str:
        space = len(_ALPHABET) ** characters
        number = int.from_bytes(self._random_bytes((space.bit_length() + _SPARE_BITS + 7) // 8), "big")
        return _text(number % space, characters)


def checksum(payload: str) -> str:
    """Six characters that tell a typo: CRC-32 of what stands before them. Not a secret."""
    return _text(zlib.crc32(payload.encode()), _CHECKSUM)


def _text(number: int, characters: int) -> str:
    digits = []
    for _ in range(characters):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
