"""Keys that sign access tokens: Ed25519, the private half sealed, known by their `kid`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.auth import signing_key_store as store
from server.auth.signing_key_store import SigningKeyRow
from server.foundation.clock import Clock
from server.foundation.secrets import Sealer
from server.storage.database import Database

RELOAD_SECONDS: Final = 3.0
"""How often each process reads the table again; an unknown `kid` makes it read no oftener."""

_KID_BYTES: Final = 12

RandomBytes = Callable[[int], bytes]
"""Unpredictable bytes, for instance `os.urandom`."""


class NoSigningKeyError(Exception):
    """The database holds no signing key yet: the first start was not finished."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair."""

    kid: str
    private_key: Ed25519PrivateKey
    public_key: Ed25519PublicKey
    activate_time: datetime
    retire_time: datetime | None

    @property
    def x(self) -> str:
        """The public key as a JWK has it (RFC 8037)."""
        return base64.urlsafe_b64encode(self.public_key.public_bytes_raw()).decode().rstrip("=")

    def signs(self, now: datetime) -> bool:
        """Whether new tokens may be signed with it."""
        return self.activate_time <= now and (self.retire_time is None or now < self.retire_time)


def draw(sealer: Sealer, random_bytes: RandomBytes, now: datetime, activate_time: datetime) -> SigningKeyRow:
    """A new key pair, sealed for its row."""
    kid = random_bytes(_KID_BYTES).hex()
    private_key = Ed25519PrivateKey.generate()
    sealed = sealer.seal(private_key.private_bytes_raw(), _bound_to(kid))
    return SigningKeyRow(kid, sealed, private_key.public_key().public_bytes_raw(), now, activate_time)


async def ensure_signing_key(database: Database, sealer: Sealer, clock: Clock, random_bytes: RandomBytes) -> None:
    """Makes the deployment's first signing key where there is none. Repeatable, and safe from several processes."""
    async with database.shared() as transaction:
        await store.lock(transaction)
        if not await store.list_all(transaction):
            now = clock.now()
            await store.insert(transaction, draw(sealer, random_bytes, now, now))


class SigningKeys:
    """The deployment's keys, in memory. Only keys of the database count, whatever a token's header points at."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._load_time = 0.0

    async def load(self) -> None:
        """Reads all keys. Raises `SealBrokenError` where the root secret is another one than they were made with."""
        self._load_time = self._clock.monotonic()
        async with self._database.shared() as transaction:
            rows = await store.list_all(transaction)
        known = self._keys
        self._keys = {row.kid: self._opened(row, known.get(row.kid)) for row in rows}

    def published(self) -> list[SigningKey]:
        """Every key that a token may name, newest first."""
        return list(self._keys.values())

    def current(self) -> SigningKey:
        """The newest key in use, which signs. Raises `NoSigningKeyError`."""
        now = self._clock.now()
        for key in self._keys.values():
            if key.signs(now):
                return key
        raise NoSigningKeyError("there is no signing key")

    async def find(self, kid: str) -> SigningKey | None:
        """The key with this id, or None. An unknown id reads the table again, at most every three seconds."""
        key = self._keys.get(kid)
        if key is None and self._clock.monotonic() - self._load_time > RELOAD_SECONDS:
            await self.load()
            key = self._keys.get(kid)
        return key

    def _opened(self, row: SigningKeyRow, known: SigningKey | None) -> SigningKey:
        private_key = known.private_key if known is not None else self._unsealed(row)
        return SigningKey(row.kid, private_key, private_key.public_key(), row.activate_time, row.retire_time)

    def _unsealed(self, row: SigningKeyRow) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._sealer.open(row.sealed_private_key, _bound_to(row.kid)))


def _bound_to(kid: str) -> str:
    return f"signing_key/{kid}/private_key"
