"""Sessions: opened at sign-in, kept alive by refresh tokens that work once, ended by their person."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.audit import entries
from server.auth import store
from server.auth.access_tokens import AccessTokens
from server.auth.session_checker import INVALIDATION_KIND, SessionChecker
from server.auth.sessions import OpenedSession, SessionClient
from server.auth.store import TokenOwner
from server.auth.throttle import AttemptThrottle
from server.foundation import ids
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.foundation.secrets import Pepper
from server.rpc.context import CallContext
from server.rpc.errors import CredentialInvalidError
from server.storage import invalidation
from server.storage.database import Database, Role, Transaction

REFRESH_PREFIX: Final = "tbr_"
_REFRESH_BYTES: Final = 32
_REFRESH_TOKEN: Final = "refresh token"

RandomBytes = Callable[[int], bytes]
"""Unpredictable bytes, for instance `os.urandom`."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """New tokens of a session, and whose it is."""

    session: OpenedSession
    user_id: UUID
    org_id: UUID


class SessionBook:
    """Opens, continues and ends sessions."""

    def __init__(
        self,
        database: Database,
        tokens: AccessTokens,
        checker: SessionChecker,
        throttle: AttemptThrottle,
        pepper: Pepper,
        clock: Clock,
        new_id: NewId,
        random_bytes: RandomBytes,
        lifetime: timedelta,
    ) -> None:
        """`lifetime` is how long a session lives without a refresh."""
        self._database = database
        self._tokens = tokens
        self._checker = checker
        self._throttle = throttle
        self._pepper = pepper
        self._clock = clock
        self._new_id = new_id
        self._random_bytes = random_bytes
        self._lifetime = lifetime

    async def open(self, transaction: Transaction, context: CallContext, user_id: UUID, org_id: UUID) -> OpenedSession:
        """A new session for the call's client, in a transaction that sees its person."""
        owner, now = TokenOwner(self._new_id(), user_id, org_id), self._clock.now()
        await store.insert_session(transaction, owner, now, now + self._lifetime, SessionClient.of(context))
        return await self._with_tokens(transaction, owner, now)

    async def refresh(self, context: CallContext, refresh_token: str) -> Refreshed:
        """Trades a refresh token for new tokens.

        A token that was traded before ends its session: either its thief or its owner holds a copy. Of calls with one
        token at once the first gets tokens and the second ends the session. Raises `CredentialInvalidError`, and
        `TooManyAttemptsError` for unknown ones.
        """
        digest = self._pepper.digest(refresh_token.encode())
        async with self._database.statement(Role.LOOKUP) as statement:
            owner = await store.lookup_refresh_token(statement, digest)
        if owner is None:
            await self._throttle.take([self._throttle.address(context.origin.ip)])
            raise CredentialInvalidError("no such refresh token", _REFRESH_TOKEN)
        async with self._database.registration(owner.org_id, owner.user_id) as transaction:
            opened = await self._traded(transaction, context, digest, owner)
        if opened is None:
            self._checker.forget(str(owner.session_id))
            why = f"the refresh token was used, or session {owner.session_id} is over"
            raise CredentialInvalidError(why, _REFRESH_TOKEN)
        return Refreshed(opened, owner.user_id, owner.org_id)

    async def end(self, context: CallContext) -> None:
        """Ends the session that the caller is in."""
        caller = context.principal
        if caller.user_id is None or caller.session_id is None:
            raise CredentialInvalidError("only a session can end itself")
        async with self._database.registration(caller.org_id, caller.user_id) as transaction:
            if await store.revoke_session(transaction, caller.session_id, self._clock.now()):
                await announce(transaction, caller.session_id)
            subject = ids.to_text(ids.SESSION, caller.session_id)
            await entries.record(transaction, context, caller.org_id, "session.revoke", subject)
        self._checker.forget(str(caller.session_id))

    async def end_all(self, transaction: Transaction, user_id: UUID, kept: UUID | None = None) -> list[UUID]:
        """Ends a person's sessions but for `kept`; answers which. Call `forget` with them after the commit."""
        ended = await store.revoke_sessions(transaction, user_id, self._clock.now(), kept)
        for session_id in ended:
            await announce(transaction, session_id)
        return ended

    def forget(self, session_ids: list[UUID]) -> None:
        """Drops cached sessions of this process at once; others hear of it by the announcement."""
        for session_id in session_ids:
            self._checker.forget(str(session_id))

    async def _traded(
        self, transaction: Transaction, context: CallContext, digest: bytes, owner: TokenOwner
    ) -> OpenedSession | None:
        now = self._clock.now()
        token = await store.lock_refresh_token(transaction, digest)
        if token is None or token.expire_time <= now:
            return None
        if token.use_time is not None:
            if await store.revoke_session(transaction, owner.session_id, now):
                await announce(transaction, owner.session_id)
                subject = ids.to_text(ids.SESSION, owner.session_id)
                await entries.record(transaction, context, owner.org_id, "session.reuse", subject)
            return None
        await store.use_refresh_token(transaction, digest, now)
        client = SessionClient.of(context)
        if not await store.extend_session(transaction, owner.session_id, now + self._lifetime, now, client):
            return None
        return await self._with_tokens(transaction, owner, now)

    async def _with_tokens(self, transaction: Transaction, owner: TokenOwner, now: datetime) -> OpenedSession:
        random = base64.urlsafe_b64encode(self._random_bytes(_REFRESH_BYTES)).decode().rstrip("=")
        refresh_token = REFRESH_PREFIX + random
        digest = self._pepper.digest(refresh_token.encode())
        await store.insert_refresh_token(transaction, digest, owner, now, now + self._lifetime)
        access_token = self._tokens.issue(owner.user_id, owner.session_id, owner.org_id)
        seconds = int(self._tokens.lifetime.total_seconds())
        return OpenedSession(owner.session_id, access_token, refresh_token, seconds)


async def announce(transaction: Transaction, session_id: UUID) -> None:
    """Says that the cached session is stale, in every process."""
    await invalidation.announce(transaction, INVALIDATION_KIND, str(session_id))
