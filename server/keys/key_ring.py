"""An organization's keys: making, listing, changing and revoking them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.audit import entries
from server.foundation import ids
from server.foundation.bounds import UNBOUNDED, Bounds
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.foundation.networks import ANYWHERE, Networks
from server.keys import rights, store
from server.keys.checker import KeyChecker, announce
from server.keys.keys import CHAT, Key
from server.keys.secret_format import SecretFormat
from server.rpc.context import CallContext
from server.rpc.errors import ConflictError, InvalidArgumentError, NotFoundError
from server.storage.database import Database, Transaction

CHANGEABLE: Final = ("name", "expire_time", "models", "networks", "limits")
"""Values that an update writes, by their names in `Key`."""


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key shall be."""

    name: str = ""
    scopes: tuple[str, ...] = (CHAT,)
    models: tuple[str, ...] = ()
    expire_time: datetime | None = None
    networks: Networks = ANYWHERE
    personal: bool = False
    trial: bool = False
    limits: Bounds = UNBOUNDED


class KeyRing:
    """The keys of all organizations; each call reaches the caller's own."""

    def __init__(
        self, database: Database, checker: KeyChecker, secret_format: SecretFormat, clock: Clock, new_id: NewId
    ) -> None:
        self._database = database
        self._checker = checker
        self._format = secret_format
        self._clock = clock
        self._new_id = new_id

    async def create(self, context: CallContext, wish: KeyWish) -> tuple[Key, str]:
        """Makes a key for the caller; answers it with its secret, which nobody can read again.

        Raises `PermissionDeniedError` for reach that the caller has not, `InvalidArgumentError` for a past expiry.
        """
        caller = context.principal
        self._check_expiry("expire_time", wish.expire_time)
        key, secret = self.draw(caller.org_id, wish, caller.user_id)
        rights.check_reach(caller, key)
        async with self._database.tenant(caller.org_id) as transaction:
            await self.insert(transaction, key, secret)
            await entries.record(transaction, context, caller.org_id, "key.create", key_text(key.id))
        return key, secret

    async def issue(self, org_id: UUID, wish: KeyWish) -> tuple[Key, str]:
        """Makes a key on the platform's own account: the first start, the command line. Any scope goes."""
        key, secret = self.draw(org_id, wish, None)
        async with self._database.tenant(org_id) as transaction:
            await self.insert(transaction, key, secret)
            await entries.record_by_system(transaction, org_id, "key.create", key_text(key.id))
        return key, secret

    async def list_page(self, context: CallContext, before: UUID | None, limit: int) -> list[Key]:
        """Keys that the caller may see, newest first, beginning after `before`."""
        org_id = context.principal.org_id
        creator = rights.only_creator(context.principal)
        async with self._database.tenant(org_id) as transaction:
            return await store.list_page(transaction, org_id, creator, before, limit)

    async def get(self, context: CallContext, key_id: UUID) -> Key:
        """One key that the caller may see. Raises `NotFoundError`."""
        async with self._database.tenant(context.principal.org_id) as transaction:
            return visible(context, await store.get(transaction, key_id))

    async def update(self, context: CallContext, key_id: UUID, values: Mapping[str, Any], etag: str) -> Key:
        """Changes `CHANGEABLE` values of a key.

        `etag` is empty or the version that the caller read. Raises `NotFoundError`, `ConflictError`,
        `PermissionDeniedError` for a key beyond the caller's own reach, before or after, `InvalidArgumentError`.
        """
        self._check_expiry("key.expire_time", values.get("expire_time"))
        async with self._database.tenant(context.principal.org_id) as transaction:
            key = visible(context, await store.lock(transaction, key_id))
            rights.check_scopes(context.principal, key.scopes)
            if etag and etag != key.etag:
                raise ConflictError("key")
            wanted = replace(key, **values, update_time=self._clock.now())
            rights.check_reach(context.principal, wanted)
            changed = await self._write(transaction, context, wanted, "key.update")
        self._checker.forget_key(changed)
        return changed

    async def revoke(self, context: CallContext, key_id: UUID) -> Key:
        """Ends a key for good; again, it changes nothing. Raises `NotFoundError`."""
        async with self._database.tenant(context.principal.org_id) as transaction:
            key = await self.end(transaction, context, visible(context, await store.lock(transaction, key_id)))
        self._checker.forget_key(key)
        return key

    async def revoke_secret(self, context: CallContext, secret: str) -> Key:
        """Ends the key of the caller's organization with this secret, or the calling key where `secret` is empty.

        Whoever holds a secret may end it, whatever else they may do. Raises `NotFoundError` for any other secret,
        another organization's too, and `InvalidArgumentError` where neither names a key.
        """
        caller = context.principal
        key_id = await self._checker.key_of(caller.org_id, secret) if secret else caller.key_id
        if key_id is None and not secret:
            raise InvalidArgumentError.of("secret", "is needed where the caller is no API key")
        async with self._database.tenant(caller.org_id) as transaction:
            key = None if key_id is None else await store.lock(transaction, key_id)
            if key is None:
                raise NotFoundError("key")
            ended = await self.end(transaction, context, key)
        self._checker.forget_key(ended)
        return ended

    async def end(self, transaction: Transaction, context: CallContext, key: Key) -> Key:
        """Ends a key that the transaction has locked, where it is not ended yet. Call `forget_key` after the commit."""
        now = self._clock.now()
        if key.revoke_time is None:
            return await self._write(transaction, context, replace(key, revoke_time=now, update_time=now), "key.revoke")
        await entries.record(transaction, context, key.org_id, "key.revoke", key_text(key.id))
        return key

    async def insert(self, transaction: Transaction, key: Key, secret: str) -> None:
        """Writes a key that was drawn."""
        await store.insert(transaction, key, self._checker.digest(secret))

    async def _write(self, transaction: Transaction, context: CallContext, key: Key, action: str) -> Key:
        changed = await store.update(transaction, key)
        await announce(transaction, key)
        await entries.record(transaction, context, key.org_id, action, key_text(key.id))
        return changed

    def draw(self, org_id: UUID, wish: KeyWish, creator: UUID | None) -> tuple[Key, str]:
        """A key that is not written yet, and its secret."""
        secret = self._format.draw()
        now = self._clock.now()
        key = Key(
            id=self._new_id(),
            org_id=org_id,
            public_id=secret.public_id,
            name=wish.name,
            masked=secret.masked,
            scopes=wish.scopes,
            models=wish.models,
            creator_user_id=creator,
            create_time=now,
            update_time=now,
            expire_time=wish.expire_time,
            networks=wish.networks,
            personal=wish.personal,
            trial=wish.trial,
            limits=wish.limits,
        )
        return key, secret.text

    def _check_expiry(self, field: str, expire_time: datetime | None) -> None:
        if expire_time is not None and expire_time <= self._clock.now():
            raise InvalidArgumentError.of(field, "must be in the future")


def key_text(key_id: UUID) -> str:
    """The id as callers see it."""
    return ids.to_text(ids.KEY, key_id)


def visible(context: CallContext, key: Key | None) -> Key:
    """The key, where the caller may know of it. Raises `NotFoundError`."""
    if key is None or not rights.may_see(context.principal, key):
        raise NotFoundError("key")
    return key
