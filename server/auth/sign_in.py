"""Signing in by password, without telling who has an account."""

from __future__ import annotations

from typing import Final

import structlog

from server.audit import entries
from server.auth import store
from server.auth.errors import LoginInvalidError
from server.auth.passwords import PasswordHasher
from server.auth.registrar import SignedIn
from server.auth.session_book import SessionBook
from server.auth.throttle import AttemptThrottle
from server.auth.users import Account, User
from server.foundation import ids
from server.foundation.clock import Clock
from server.organizations import store as organization_store
from server.organizations.directory import found
from server.rpc.context import CallContext
from server.rpc.errors import OrganizationSuspendedError, PasswordChangeRequiredError, UnavailableError
from server.storage.database import Database, Role, Transaction

_ACTION: Final = "session.create"


class SignIn:
    """Opens sessions for those who know their password."""

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
        self._log = structlog.get_logger("auth")

    async def sign_in(self, context: CallContext, login: str, password: str) -> SignedIn:
        """A new session for the account with this e-mail or user name.

        An unknown account costs the same work and gives the same `LoginInvalidError` as a wrong password. Raises
        `TooManyAttemptsError`, `UnavailableError` where attempts cannot be counted, and with the right password only
        `PasswordChangeRequiredError` (a one-time password was used before) and `OrganizationSuspendedError`.
        """
        ip = context.origin.ip
        account = await self._lookup(login)
        subjects = [self._throttle.address(ip), await self._throttle.login(login, ip)]
        await self._throttle.take(subjects)
        right = await self._hasher.matches(password, None if account is None else account.password_digest)
        if account is None or not right:
            raise LoginInvalidError("no such account" if account is None else f"wrong password: {account.user.id}")
        await self._throttle.give_back(subjects)
        await self.recognise(account.user, ip)
        if account.suspended and not account.user.platform_admin:
            raise OrganizationSuspendedError
        return await self._open(context, account)

    async def recognise(self, user: User, ip: str) -> None:
        """Notes that the person proved who they are from this address, so that strangers' guesses never stop them here.

        Not being able to note it is only logged: the person would wait with the strangers, no more.
        """
        try:
            await self._throttle.remember(user.logins, ip)
        except UnavailableError as error:
            self._log.warning("an address is not remembered", error=error.internal)

    async def _lookup(self, login: str) -> Account | None:
        if "\0" in login:
            return None  # no text of the database can hold it
        async with self._database.statement(Role.LOOKUP) as statement:
            return await store.lookup_account(statement, login.strip())

    async def _open(self, context: CallContext, account: Account) -> SignedIn:
        user, org_id = account.user, account.org_id
        async with self._database.registration(org_id, user.id) as transaction:
            one_time = await self._use_password(transaction, account)
            session = await self._sessions.open(transaction, context, user.id, org_id)
            organization = found(await organization_store.get(transaction, org_id))
            subject = ids.to_text(ids.SESSION, session.id)
            await entries.record(transaction, context, org_id, _ACTION, subject, actor_user_id=user.id)
        return SignedIn(user, organization, session, one_time)

    async def _use_password(self, transaction: Transaction, account: Account) -> bool:
        """Holds the password still, so that a change of it ends this session or comes before it. True: one-time."""
        password = await store.lock_password(transaction, account.user.id)
        if password is None or password.digest != account.password_digest:
            raise LoginInvalidError(f"the password of {account.user.id} changed meanwhile")
        if not password.one_time:
            return False
        if password.use_time is not None:
            raise PasswordChangeRequiredError
        await store.use_password(transaction, account.user.id, self._clock.now())
        return True
