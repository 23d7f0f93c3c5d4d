"""An organization's keys: making, listing, changing and revoking them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.audit import entries
from server.foundation import ids
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.keys import rights, store
from server.keys.checker import INVALIDATION_KIND, KeyChecker
from server.keys.keys import CHAT, Key
from server.keys.secret_format import SecretFormat
from server.rpc.context import CallContext
from server.rpc.errors import ConflictError, InvalidArgumentError, NotFoundError
from server.storage import invalidation
from server.storage.database import Database, Transaction

CHANGEABLE: Final = ("name", "expire_time", "models")


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key shall be."""

    name: str = ""
    scopes: tuple[str, ...] = (CHAT,)
    models: tuple[str, ...] = ()
    expire_time: datetime | None = None


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

        Raises `PermissionDeniedError` for rights that the caller has not, `InvalidArgumentError` for a past expiry.
        """
        caller = context.principal
        rights.check_scopes(caller, wish.scopes)
        rights.check_models(caller, wish.models)
        self._check_expiry("expire_time", wish.expire_time)
        key, secret = self._draw(caller.org_id, wish, caller.user_id)
        async with self._database.tenant(caller.org_id) as transaction:
            await store.insert(transaction, key, self._checker.digest(secret))
            await entries.record(transaction, context, caller.org_id, "key.create", key_text(key.id))
        return key, secret

    async def issue(self, org_id: UUID, wish: KeyWish) -> tuple[Key, str]:
        """Makes a key on the platform's own account: the first start, the command line. Any scope goes."""
        key, secret = self._draw(org_id, wish, None)
        async with self._database.tenant(org_id) as transaction:
            await store.insert(transaction, key, self._checker.digest(secret))
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
            return _visible(context, await store.get(transaction, key_id))

    async def update(self, context: CallContext, key_id: UUID, values: Mapping[str, Any], etag: str) -> Key:
        """Changes `CHANGEABLE` values of a key.

        `etag` is empty or the version that the caller read. Raises `NotFoundError`, `ConflictError`,
        `PermissionDeniedError` for a key or models beyond the caller's own rights, `InvalidArgumentError`.
        """
        self._check_expiry("key.expire_time", values.get("expire_time"))
        async with self._database.tenant(context.principal.org_id) as transaction:
            key = _visible(context, await store.lock(transaction, key_id))
            rights.check_scopes(context.principal, key.scopes)
            if etag and etag != key.etag:
                raise ConflictError("key")
            wanted = replace(key, **values, update_time=self._clock.now())
            rights.check_models(context.principal, wanted.models)
            changed = await self._write(transaction, context, wanted, "key.update")
        self._checker.forget(changed.public_id)
        return changed

    async def revoke(self, context: CallContext, key_id: UUID) -> Key:
        """Ends a key for good; again, it changes nothing. Raises `NotFoundError`."""
        now = self._clock.now()
        async with self._database.tenant(context.principal.org_id) as transaction:
            key = _visible(context, await store.lock(transaction, key_id))
            if key.revoke_time is not None:
                await entries.record(transaction, context, key.org_id, "key.revoke", key_text(key.id))
                return key
            revoked = replace(key, revoke_time=now, update_time=now)
            changed = await self._write(transaction, context, revoked, "key.revoke")
        self._checker.forget(changed.public_id)
        return changed

    async def _write(self, transaction: Transaction, context: CallContext, key: Key, action: str) -> Key:
        changed = await store.update(transaction, key)
        await invalidation.announce(transaction, INVALIDATION_KIND, key.public_id)
        await entries.record(transaction, context, key.org_id, action, key_text(key.id))
        return changed

    def _draw(self, org_id: UUID, wish: KeyWish, creator: UUID | None) -> tuple[Key, str]:
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
        )
        return key, secret.text

    def _check_expiry(self, field: str, expire_time: datetime | None) -> None:
        if expire_time is not None and expire_time <= self._clock.now():
            raise InvalidArgumentError.of(field, "must be in the future")


def key_text(key_id: UUID) -> str:
    """The id as callers see it."""
    return ids.to_text(ids.KEY, key_id)


def _visible(context: CallContext, key: Key | None) -> Key:
    if key is None or not rights.may_see(context.principal, key):
        raise NotFoundError("key")
    return key
