"""New secrets for keys that exist: after a leak at once, in passing with an overlap."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg

from server.audit import entries
from server.foundation.clock import Clock
from server.keys import rights, store
from server.keys.checker import KeyChecker, announce
from server.keys.errors import KeyEndedError
from server.keys.key_ring import KeyRing, KeyWish, key_text, visible
from server.keys.keys import Key
from server.keys.secret_format import SecretFormat
from server.rpc.context import CallContext
from server.rpc.errors import ConflictError, NotFoundError
from server.storage.database import Database, Transaction

_AT_ONCE = timedelta(0)


class KeyRotation:
    """Replaces secrets. A key keeps its id, its rights and its history; at most two of its secrets work at a time."""

    def __init__(
        self, database: Database, ring: KeyRing, checker: KeyChecker, secret_format: SecretFormat, clock: Clock
    ) -> None:
        self._database = database
        self._ring = ring
        self._checker = checker
        self._format = secret_format
        self._clock = clock

    async def rotate(self, context: CallContext, key_id: UUID, overlap: timedelta) -> tuple[Key, str]:
        """Gives the key a new secret; the one so far works for `overlap` longer, one from before it no more.

        Raises `NotFoundError`, `PermissionDeniedError` for a key beyond the caller's own reach, `KeyEndedError`.
        """
        async with self._database.tenant(context.principal.org_id) as transaction:
            key = visible(context, await store.lock(transaction, key_id))
            rights.check_reach(context.principal, key)
            rotated, secret = await self._rotated(transaction, context, key, overlap, "key.rotate")
        self._forget(key, rotated)
        return rotated, secret

    async def regenerate(self, context: CallContext) -> tuple[Key, str]:
        """A new secret for the calling key, or for the caller's personal key, which is made where there is none.

        The secret so far is dead. Raises `KeyEndedError`, and `ConflictError` where two first calls race.
        """
        caller = context.principal
        try:
            async with self._database.tenant(caller.org_id) as transaction:
                key = await self._own(transaction, context)
                if key is None:
                    return await self._first(transaction, context)
                rotated, secret = await self._rotated(transaction, context, key, _AT_ONCE, "key.regenerate")
        except asyncpg.UniqueViolationError as error:
            raise ConflictError("key") from error
        self._forget(key, rotated)
        return rotated, secret

    async def _own(self, transaction: Transaction, context: CallContext) -> Key | None:
        caller = context.principal
        if caller.key_id is not None:
            key = await store.lock(transaction, caller.key_id)
            if key is None:
                raise NotFoundError("key")
            return key
        if caller.user_id is None:
            return None
        key = await store.lock_personal(transaction, caller.org_id, caller.user_id)
        if key is None or not key.dead_because(self._clock.now()):
            return key
        # It expired: its place is taken by a new one.
        await self._ring.end(transaction, context, key)
        return None

    async def _first(self, transaction: Transaction, context: CallContext) -> tuple[Key, str]:
        caller = context.principal
        key, secret = self._ring.draw(caller.org_id, KeyWish(name="Personal", personal=True), caller.user_id)
        rights.check_reach(caller, key)
        await self._ring.insert(transaction, key, secret)
        await entries.record(transaction, context, caller.org_id, "key.regenerate", key_text(key.id))
        return key, secret

    async def _rotated(
        self, transaction: Transaction, context: CallContext, key: Key, overlap: timedelta, action: str
    ) -> tuple[Key, str]:
        now = self._clock.now()
        if key.dead_because(now):
            raise KeyEndedError
        secret = self._format.draw()
        digest = self._checker.digest(secret.text)
        rotated = await store.rotate(transaction, key.id, secret.public_id, digest, secret.masked, now + overlap, now)
        await announce(transaction, key)
        await entries.record(transaction, context, key.org_id, action, key_text(key.id))
        return rotated, secret.text

    def _forget(self, before: Key, after: Key) -> None:
        self._checker.forget_key(before)
        self._checker.forget_key(after)
