"""Changing one's own password."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from server.audit import entries
from server.auth import password_rules, store
from server.auth.errors import PasswordRefusedError
from server.auth.passwords import PasswordHasher
from server.auth.session_book import SessionBook, announce
from server.auth.throttle import AttemptThrottle
from server.auth.users import User
from server.foundation import ids
from server.foundation.clock import Clock
from server.rpc.context import CallContext
from server.rpc.errors import CredentialInvalidError, InvalidArgumentError
from server.rpc.principal import Principal
from server.storage.database import Database, Transaction

_ACTION: Final = "user.change_password"


class PasswordChanges:
    """Sets new passwords for those who know the current one."""

    def __init__(
        self,
        database: Database,
        sessions: SessionBook,
        hasher: PasswordHasher,
        throttle: AttemptThrottle,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._hasher = hasher
        self._throttle = throttle
        self._clock = clock

    async def change(self, context: CallContext, current: str, new: str) -> None:
        """Sets the caller's password, ends the caller's other sessions, and lifts `password_change_required`.

        Raises `InvalidArgumentError` naming `current_password` where it is wrong, `PasswordRefusedError`, and as for
        sign-in `TooManyAttemptsError` and `UnavailableError`.
        """
        user_id, session_id = _person(context.principal)
        async with self._database.person(user_id) as transaction:
            user, old_digest = await self._read(transaction, user_id)
        await self._prove(context, user_id, current, old_digest)
        password_rules.check(new, "new_password", (user.email, user.username, user.name))
        if new == current:
            raise PasswordRefusedError("new_password", "is the same as the current one")
        new_digest = await self._hasher.digest(new)
        async with self._database.registration(context.principal.org_id, user_id) as transaction:
            password = await store.lock_password(transaction, user_id)
            if password is None or password.digest != old_digest:
                raise _wrong()
            await store.update_password(transaction, user_id, new_digest, False, self._clock.now())
            ended = await self._sessions.end_all(transaction, user_id, kept=session_id)
            await announce(transaction, session_id)
            subject = ids.to_text(ids.USER, user_id)
            await entries.record(transaction, context, context.principal.org_id, _ACTION, subject)
        self._sessions.forget([*ended, session_id])

    async def _read(self, transaction: Transaction, user_id: UUID) -> tuple[User, str]:
        user, password = await store.get_user(transaction, user_id), await store.get_password(transaction, user_id)
        if user is None or password is None:
            raise CredentialInvalidError(f"user {user_id} is gone")
        return user, password.digest

    async def _prove(self, context: CallContext, user_id: UUID, current: str, digest: str) -> None:
        subjects = [self._throttle.address(context.origin.ip), self._throttle.credential(f"change:{user_id}")]
        await self._throttle.take(subjects)
        if not await self._hasher.matches(current, digest):
            raise _wrong()
        await self._throttle.give_back(subjects)


def _person(caller: Principal) -> tuple[UUID, UUID]:
    if caller.user_id is None or caller.session_id is None:
        raise CredentialInvalidError("only a person has a password")
    return caller.user_id, caller.session_id


def _wrong() -> InvalidArgumentError:
    return InvalidArgumentError.of("current_password", "is not the password in force")
