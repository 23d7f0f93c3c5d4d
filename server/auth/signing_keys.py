"""Keys that sign access tokens: Ed25519, the private half sealed, known by their `kid`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.auth import store
from server.foundation.clock import Clock
from server.foundation.secrets import Sealer
from server.storage.database import Database

_KID_BYTES: Final = 12
_RELOAD_SECONDS: Final = 3.0

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
    retire_time: datetime | None


async def ensure_signing_key(database: Database, sealer: Sealer, clock: Clock, random_bytes: RandomBytes) -> None:
    """Makes the deployment's first signing key where there is none. Repeatable, and safe from several processes."""
    async with database.shared() as transaction:
        await store.lock_signing_keys(transaction)
        if await store.signing_keys(transaction):
            return
        kid = random_bytes(_KID_BYTES).hex()
        private_key = Ed25519PrivateKey.generate()
        sealed = sealer.seal(private_key.private_bytes_raw(), _bound_to(kid))
        public = private_key.public_key().public_bytes_raw()
        await store.insert_signing_key(transaction, store.SigningKeyRow(kid, sealed, public, None), clock.now())


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
            rows = await store.signing_keys(transaction)
        self._keys = {row.kid: self._opened(row) for row in rows}

    def current(self) -> SigningKey:
        """The newest key in use, which signs. Raises `NoSigningKeyError`."""
        for key in self._keys.values():
            if key.retire_time is None or key.retire_time > self._clock.now():
                return key
        raise NoSigningKeyError("there is no signing key")

    async def find(self, kid: str) -> SigningKey | None:
        """The key with this id, or None. An unknown id reads the table again, at most every three seconds."""
        key = self._keys.get(kid)
        if key is None and self._clock.monotonic() - self._load_time > _RELOAD_SECONDS:
            await self.load()
            key = self._keys.get(kid)
        return key

    def _opened(self, row: store.SigningKeyRow) -> SigningKey:
        private_key = Ed25519PrivateKey.from_private_bytes(
            self._sealer.open(row.sealed_private_key, _bound_to(row.kid))
        )
        return SigningKey(row.kid, private_key, private_key.public_key(), row.retire_time)


def _bound_to(kid: str) -> str:
    return f"signing_key/{kid}/private_key"
