"""Keys derived from the root secret, and what is done with them.

The deployment has one secret (JWT_SECRET). Everything that needs a key derives its own from it by HKDF-SHA-256
(RFC 5869) with a label, so that no two uses share one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES: Final = 12


class SealBrokenError(Exception):
    """Sealed bytes do not open: another key, another row, or tampered with."""


@dataclass(frozen=True, slots=True)
class Pepper:
    """A key for digests of secrets that are stored (API keys, refresh tokens, page tokens)."""

    key: bytes

    def digest(self, secret: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        return hmac.digest(self.key, secret, hashlib.sha256)

    def matches(self, secret: bytes, digest: bytes) -> bool:
        """Whether the digest is this secret's, in constant time."""
        return hmac.compare_digest(self.digest(secret), digest)


@dataclass(frozen=True, slots=True)
class Sealer:
    """AES-256-GCM for what must be read back (provider credentials, signing keys)."""

    key: bytes

    def seal(self, plain: bytes, bound_to: str) -> bytes:
        """Nonce, ciphertext and tag; opens only with the same `bound_to`, which names the row and column."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, plain, bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """The plain bytes. Raises `SealBrokenError`."""
        try:
            return AESGCM(self.key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError(bound_to) from error


@dataclass(frozen=True, slots=True)
class RootSecret:
    """The deployment's one secret."""

    value: bytes

    def derive(self, label: str) -> bytes:
        """32 bytes for one use, named by its label."""
        info = f"tollbridge/{label}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(self.value)

    def pepper(self, label: str) -> Pepper:
        """The digest key of one use."""
        return Pepper(self.derive(f"pepper/{label}"))

    def sealer(self, label: str) -> Sealer:
        """The encryption key of one use."""
        return Sealer(self.derive(f"seal/{label}"))
