"""Makes accounts: a person, an organization, the membership OWNER, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.audit import entries
from server.auth import password_rules, store
from server.auth.errors import AccountExistsError, RegistrationClosedError
from server.auth.passwords import PasswordHasher
from server.auth.session_book import SessionBook
from server.auth.sessions import OpenedSession
from server.auth.users import User
from server.foundation import ids
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.organizations.directory import OrganizationDirectory
from server.organizations.organizations import Organization
from server.rpc.context import CallContext
from server.storage.database import Database, Transaction

_ACTION: Final = "user.register"
_LOGIN_INDEXES: Final = frozenset({"app_user_email", "app_user_username"})


@dataclass(frozen=True, slots=True)
class AccountWish:
    """What a new account shall be."""

    email: str
    username: str = ""
    name: str = ""
    """The person's and the organization's. Empty: the user name, then the e-mail's local part."""
    description: str = ""
    website: str = ""
    phone: str = ""
    city: str = ""
    country: str = ""

    @property
    def shown_name(self) -> str:
        """The name, or what stands for it."""
        return self.name.strip() or self.username or self.email.partition("@")[0]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person with the session that was just opened."""

    user: User
    organization: Organization
    session: OpenedSession
    password_change_required: bool = False


class Registrar:
    """Makes accounts, for those who register and for administrators."""

    def __init__(
        self,
        database: Database,
        directory: OrganizationDirectory,
        sessions: SessionBook,
        hasher: PasswordHasher,
        clock: Clock,
        new_id: NewId,
        open_to_all: bool,
    ) -> None:
        """`open_to_all`: whether anyone may register."""
        self._database = database
        self._directory = directory
        self._sessions = sessions
        self._hasher = hasher
        self._clock = clock
        self._new_id = new_id
        self._open_to_all = open_to_all

    async def register(self, context: CallContext, wish: AccountWish, password: str) -> SignedIn:
        """Makes an account and signs it in.

        Raises `RegistrationClosedError`, `PasswordRefusedError`, and `AccountExistsError` where e-mail or user name is
        taken: who registers must learn that.
        """
        if not self._open_to_all:
            raise RegistrationClosedError
        password_rules.check(password, "password", (wish.email, wish.username, wish.name))
        digest = await self._hasher.digest(password)
        user, organization = self._drawn(wish)
        try:
            async with self._database.registration(organization.id, user.id) as transaction:
                await self._insert(transaction, user, organization, digest, one_time=False)
                session = await self._sessions.open(transaction, context, user.id, organization.id)
                subject = ids.to_text(ids.USER, user.id)
                await entries.record(transaction, context, organization.id, _ACTION, subject, actor_user_id=user.id)
        except asyncpg.UniqueViolationError as error:
            raise _taken(error) from error
        return SignedIn(user, organization, session)

    async def create(self, wish: AccountWish, one_time_password: str) -> tuple[User, Organization]:
        """Makes an account whose password signs in once, whether registration is open or not. Raises
        `AccountExistsError`."""
        digest = await self._hasher.digest(one_time_password)
        user, organization = self._drawn(wish)
        try:
            async with self._database.registration(organization.id, user.id) as transaction:
                await self._insert(transaction, user, organization, digest, one_time=True)
                await entries.record_by_system(transaction, organization.id, _ACTION, ids.to_text(ids.USER, user.id))
        except asyncpg.UniqueViolationError as error:
            raise _taken(error) from error
        return user, organization

    async def _insert(
        self, transaction: Transaction, user: User, organization: Organization, digest: str, one_time: bool
    ) -> None:
        await store.insert_user(transaction, user)
        await store.insert_password(transaction, user.id, digest, one_time, user.create_time)
        await self._directory.create(transaction, organization, user.id)

    def _drawn(self, wish: AccountWish) -> tuple[User, Organization]:
        now = self._clock.now()
        user = _user(self._new_id(), wish, now)
        organization = Organization(
            id=self._new_id(),
            name=wish.shown_name,
            create_time=now,
            update_time=now,
            description=wish.description,
            website=wish.website,
            phone=wish.phone,
            city=wish.city,
            country=wish.country,
        )
        return user, organization


def _user(user_id: UUID, wish: AccountWish, now: datetime) -> User:
    return User(
        id=user_id,
        email=wish.email,
        username=wish.username,
        name=wish.shown_name,
        platform_admin=False,
        create_time=now,
    )


def _taken(error: asyncpg.UniqueViolationError) -> Exception:
    """Which error a broken unique index means: that of a login, or one of our own that nobody expected."""
    return AccountExistsError() if error.constraint_name in _LOGIN_INDEXES else error
