"""Checks secrets: from memory where the key was seen lately, else by one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from server.auth.credentials import Refused
from server.foundation.clock import Clock
from server.foundation.secrets import Pepper
from server.keys import store
from server.keys.keys import Key
from server.keys.secret_format import SecretFormat
from server.keys.store import KeyRow
from server.rpc.principal import Principal, PrincipalKind
from server.storage.cache import FreshCache
from server.storage.database import Database, Role

INVALIDATION_KIND: Final = "key"
"""Announced with the key's public id whenever its row changed."""

_NO_DIGEST: Final = bytes(32)


class UnknownKeyError(Exception):
    """No key has this public id. An exception, so that the cache keeps nothing: made-up ids must not fill it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    key: Key
    digest: bytes
    principal: Principal
    lasting: bool
    """Neither revoked nor with an expiry, so that no clock is asked."""


class KeyChecker:
    """The cache of keys, and the one place that compares secrets."""

    def __init__(self, database: Database, secret_format: SecretFormat, pepper: Pepper, clock: Clock) -> None:
        self._database = database
        self._format = secret_format
        self._public_part = secret_format.public_part
        self._pepper = pepper
        self._clock = clock
        self._cache: FreshCache[_Entry] = FreshCache(clock)

    @property
    def prefix(self) -> str:
        """What every key starts with."""
        return self._format.prefix

    def forget(self, subject: str) -> None:
        """Drops the cached key with this public id."""
        self._cache.forget(subject)

    def digest(self, secret: str) -> bytes:
        """What the database keeps of a secret."""
        return self._pepper.digest(secret.encode())

    def try_authenticate(self, credential: str) -> Principal | None:
        """The key's caller where it is cached and the secret is right; None says nothing. Never waits."""
        entry = self._cache.get(credential[self._public_part])
        if entry is None or not credential.isascii():
            return None
        if not self._pepper.matches(credential.encode(), entry.digest):
            return None
        if entry.lasting:
            return entry.principal
        return None if entry.key.dead_because(self._clock.now()) else entry.principal

    async def check(self, credential: str) -> Principal | Refused:
        """The key's caller, or why it is refused."""
        entry = await self._find(credential)
        return entry if isinstance(entry, Refused) else entry.principal

    async def verify(self, credential: str) -> Key | None:
        """The key, where the secret works now: neither wrong, expired, revoked, nor of a suspended organization."""
        entry = await self._find(credential)
        if isinstance(entry, Refused) or entry.principal.organization_suspended:
            return None
        return entry.key

    async def _find(self, credential: str) -> _Entry | Refused:
        public_id = self._format.public_id(credential)
        if public_id is None:
            return Refused("not a secret of this deployment, or mistyped")
        entry = await self._load_or_none(public_id)
        # An unknown key costs the same comparison as a wrong secret.
        right = self._pepper.matches(credential.encode(), _NO_DIGEST if entry is None else entry.digest)
        if entry is None or not right:
            return Refused(f"no key {public_id} with this secret", subject=f"key:{public_id}")
        reason = entry.key.dead_because(self._clock.now())
        return Refused(f"{reason}: {public_id}", guess=False) if reason else entry

    async def _load_or_none(self, public_id: str) -> _Entry | None:
        try:
            return await self._cache.get_or_load(public_id, lambda: self._load(public_id))
        except UnknownKeyError:
            return None

    async def _load(self, public_id: str) -> _Entry:
        async with self._database.statement(Role.LOOKUP) as statement:
            row = await store.lookup(statement, public_id)
        if row is None:
            raise UnknownKeyError(public_id)
        lasting = row.key.revoke_time is None and row.key.expire_time is None
        return _Entry(row.key, row.digest, _principal(row), lasting)


def _principal(row: KeyRow) -> Principal:
    key = row.key
    return Principal(
        kind=PrincipalKind.API_KEY,
        org_id=key.org_id,
        permissions=key.permissions,
        key_id=key.id,
        scopes=key.scopes,
        models=frozenset(key.models),
        organization_suspended=row.suspended,
        expire_time=key.expire_time,
    )
