"""Accounts as the operator handles them, by the command line and at the first start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.audit import entries
from server.auth import admin_store, store
from server.auth.admin_store import ListedUser
from server.auth.errors import AccountExistsError
from server.auth.passwords import PasswordHasher
from server.auth.registrar import AccountWish, Registrar
from server.auth.session_book import SessionBook, announce
from server.auth.users import Account
from server.foundation import ids
from server.foundation.clock import Clock
from server.rpc.errors import NotFoundError
from server.storage.database import Database, Role

_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what looks alike on paper."""
_GROUPS: Final = 5
_GROUP: Final = 5

RandomBytes = Callable[[int], bytes]
"""Unpredictable bytes, for instance `os.urandom`."""


@dataclass(frozen=True, slots=True)
class IssuedAccount:
    """An account whose one-time password was just drawn. The password is shown once."""

    user_id: UUID
    org_id: UUID
    email: str
    one_time_password: str


class Administration:
    """What the operator may do with accounts. Nothing here asks who is calling."""

    def __init__(
        self,
        database: Database,
        registrar: Registrar,
        sessions: SessionBook,
        hasher: PasswordHasher,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._database = database
        self._registrar = registrar
        self._sessions = sessions
        self._hasher = hasher
        self._clock = clock
        self._random_bytes = random_bytes

    async def has_admin(self) -> bool:
        """Whether there is a platform administrator."""
        async with self._database.privileged(Role.PLATFORM) as transaction:
            return await admin_store.has_admin(transaction)

    async def create_admin(self, wish: AccountWish) -> IssuedAccount:
        """A platform administrator with a one-time password.

        Repeatable: an account with this e-mail becomes an administrator and gets a new one-time password, so that a
        try which broke off half-way is mended by the next.
        """
        issued = await self.issue(wish)
        await self.promote(issued)
        return issued

    async def issue(self, wish: AccountWish) -> IssuedAccount:
        """An account with a one-time password. One with this e-mail stays and gets a new one-time password."""
        password = self._draw_password()
        try:
            user, organization = await self._registrar.create(wish, password)
        except AccountExistsError:
            return await self.reset_password(wish.email)
        return IssuedAccount(user.id, organization.id, user.email, password)

    async def reset_password(self, login: str) -> IssuedAccount:
        """Replaces a password by a one-time password and ends all sessions. Raises `NotFoundError`."""
        account = await self._find(login)
        password = self._draw_password()
        digest = await self._hasher.digest(password)
        user_id = account.user.id
        async with self._database.registration(account.org_id, user_id) as transaction:
            await store.update_password(transaction, user_id, digest, True, self._clock.now())
            ended = await self._sessions.end_all(transaction, user_id)
            subject = ids.to_text(ids.USER, user_id)
            await entries.record_by_system(transaction, account.org_id, "user.reset_password", subject)
        self._sessions.forget(ended)
        return IssuedAccount(user_id, account.org_id, account.user.email, password)

    async def list_users(self, after: UUID | None, limit: int) -> list[ListedUser]:
        """People whose ids come after `after`, oldest first, at most `limit`."""
        async with self._database.privileged(Role.PLATFORM) as transaction:
            return await admin_store.list_users(transaction, after, limit)

    async def promote(self, issued: IssuedAccount) -> None:
        """Makes the person an administrator of the platform; sessions learn of it within a second."""
        async with self._database.privileged(Role.PLATFORM) as transaction:
            await admin_store.promote(transaction, issued.user_id, self._clock.now())
            live = await admin_store.live_sessions(transaction, issued.user_id)
            for session_id in live:
                await announce(transaction, session_id)
            subject = ids.to_text(ids.USER, issued.user_id)
            await entries.record_by_system(transaction, issued.org_id, "user.promote", subject)
        self._sessions.forget(live)

    async def _find(self, login: str) -> Account:
        async with self._database.statement(Role.LOOKUP) as statement:
            account = await store.lookup_account(statement, login.strip())
        if account is None:
            raise NotFoundError("account")
        return account

    def _draw_password(self) -> str:
        """25 characters of 31: 123 bits."""
        number = int.from_bytes(self._random_bytes(_GROUPS * _GROUP), "big")
        characters = []
        for _ in range(_GROUPS * _GROUP):
            number, digit = divmod(number, len(_ALPHABET))
            characters.append(_ALPHABET[digit])
        groups = ("".join(characters[start : start + _GROUP]) for start in range(0, len(characters), _GROUP))
        return "-".join(groups)
