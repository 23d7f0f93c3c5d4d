"""Checks secrets: from memory where the key was seen lately, else by one statement for all that come at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.auth.credentials import Refused
from server.foundation.clock import Clock
from server.foundation.secrets import Pepper
from server.keys import store
from server.keys.keys import Key
from server.keys.secret_format import SecretFormat
from server.keys.store import KeyRow
from server.rpc.principal import Principal, PrincipalKind
from server.storage import invalidation
from server.storage.cache import FreshCache
from server.storage.database import Database, Role, Transaction
from server.storage.last_uses import LastUses

INVALIDATION_KIND: Final = "key"
"""Announced with the key's public ids, one by one, whenever its row changed."""

_NO_DIGEST: Final = bytes(32)


async def announce(transaction: Transaction, key: Key) -> None:
    """Says that the key's cached entries are stale, in every process, in the transaction that changes it."""
    for public_id in key.public_ids:
        await invalidation.announce(transaction, INVALIDATION_KIND, public_id)


@dataclass(frozen=True, slots=True)
class _Entry:
    key: Key
    digest: bytes
    principal: Principal
    secret_expire_time: datetime | None
    """The end of a rotation's overlap; None for the secret in force."""
    lasting: bool
    """Neither revoked nor with an expiry, so that no clock is asked."""

    def dead_because(self, now: datetime) -> str:
        """Why the secret does not work at `now`, for the log; empty where it works."""
        if self.secret_expire_time is not None and self.secret_expire_time <= now:
            return "the secret was rotated"
        return self.key.dead_because(now)


class KeyChecker:
    """The cache of keys, and the one place that compares secrets."""

    def __init__(self, database: Database, secret_format: SecretFormat, pepper: Pepper, clock: Clock) -> None:
        self._database = database
        self._format = secret_format
        self._public_part = secret_format.public_part
        self._pepper = pepper
        self._clock = clock
        self._cache: FreshCache[str, _Entry] = FreshCache(clock, self._load)
        self.uses = LastUses(database, clock, store.note_uses)
        """When keys were last used, until it is written."""

    @property
    def prefix(self) -> str:
        """What every key starts with."""
        return self._format.prefix

    def forget(self, subject: str) -> None:
        """Drops the cached key with this public id."""
        self._cache.forget(subject)

    def forget_key(self, key: Key) -> None:
        """Drops what is cached of a key that changed, in this process at once."""
        for public_id in key.public_ids:
            self._cache.forget(public_id)

    def forget_organization(self, subject: str) -> None:
        """Drops the cached keys of the organization with this UUID."""
        self._cache.forget_where(lambda entry: str(entry.key.org_id) == subject)

    async def refresh(self) -> None:
        """Reads the keys in use again before what is cached of them grows too old. To be called every second.

        Raises `DatabaseUnavailableError`.
        """
        await self._cache.refresh()

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
        if not entry.lasting and entry.dead_because(self._clock.now()):
            return None
        self.uses.note(entry.key.id)
        return entry.principal

    async def check(self, credential: str) -> Principal | Refused:
        """The key's caller, or why it is refused."""
        entry = await self._find(credential)
        if isinstance(entry, Refused):
            return entry
        self.uses.note(entry.key.id)
        return entry.principal

    async def verify(self, credential: str, ip: str) -> Key | None:
        """The key, where the secret works now for a caller at `ip`: neither wrong, expired, revoked, bound to other
        networks (without an `ip`, to any), nor of a suspended organization."""
        entry = await self._find(credential)
        if isinstance(entry, Refused) or entry.principal.organization_suspended:
            return None
        return entry.key if entry.key.networks.contains(ip) else None

    async def key_of(self, org_id: UUID, credential: str) -> UUID | None:
        """Id of the organization's key with this secret, whether the key still works or not; None for any other."""
        entry = await self._match(credential)
        return None if isinstance(entry, Refused) or entry.key.org_id != org_id else entry.key.id

    async def _find(self, credential: str) -> _Entry | Refused:
        entry = await self._match(credential)
        if isinstance(entry, Refused):
            return entry
        reason = entry.dead_because(self._clock.now())
        return Refused(f"{reason}: {entry.key.public_id}", guess=False) if reason else entry

    async def _match(self, credential: str) -> _Entry | Refused:
        public_id = self._format.public_id(credential)
        if public_id is None:
            return Refused("not a secret of this deployment, or mistyped")
        entry = await self._cache.find(public_id)
        # An unknown key costs the same comparison as a wrong secret.
        right = self._pepper.matches(credential.encode(), _NO_DIGEST if entry is None else entry.digest)
        if entry is None or not right:
            return Refused(f"no key {public_id} with this secret", subject=f"key:{public_id}")
        return entry

    async def _load(self, public_ids: Sequence[str]) -> Mapping[str, _Entry]:
        async with self._database.statement(Role.LOOKUP) as statement:
            rows = await store.lookup(statement, public_ids)
        return {public_id: _entry(row) for public_id, row in rows.items()}


def _entry(row: KeyRow) -> _Entry:
    ends = (row.key.revoke_time, row.key.expire_time, row.secret_expire_time)
    return _Entry(row.key, row.digest, _principal(row), row.secret_expire_time, lasting=ends == (None, None, None))


def _principal(row: KeyRow) -> Principal:
    key = row.key
    ends = [end for end in (key.expire_time, row.secret_expire_time) if end is not None]
    return Principal(
        kind=PrincipalKind.API_KEY,
        org_id=key.org_id,
        permissions=key.permissions,
        key_id=key.id,
        scopes=key.scopes,
        models=frozenset(key.models),
        free_models_only=key.trial,
        networks=key.networks,
        limits=key.limits,
        maker_user_id=key.creator_user_id,
        organization_suspended=row.suspended,
        expire_time=min(ends) if ends else None,
    )
