"""Checks access tokens against their sessions, so that one that ended opens nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.auth import store
from server.auth.access_tokens import AccessClaims, AccessTokens
from server.auth.credentials import Refused
from server.auth.sessions import Session
from server.foundation.clock import Clock
from server.rpc.principal import Principal
from server.storage.cache import MAX_AGE_SECONDS, FreshCache
from server.storage.database import Database, Role
from server.storage.last_uses import LastUses

INVALIDATION_KIND: Final = "session"
"""Announced with the session's UUID as text whenever it ended or its person's rights changed."""

_MAX_TOKENS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _ReadToken:
    claims: AccessClaims
    read_time: float


class SessionChecker:
    """The cache of sessions, and of tokens whose signature was checked within the last seconds."""

    def __init__(self, database: Database, tokens: AccessTokens, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock
        self._sessions: FreshCache[UUID, Session] = FreshCache(clock, self._load)
        self._read: dict[str, _ReadToken] = {}
        self.uses = LastUses(database, clock, store.note_uses)
        """When sessions were last used, until it is written."""

    def forget(self, subject: str) -> None:
        """Drops the cached session with this id."""
        self._sessions.forget(UUID(subject))

    def forget_organization(self, subject: str) -> None:
        """Drops the cached sessions of the organization with this UUID."""
        self._sessions.forget_where(lambda session: str(session.org_id) == subject)

    async def refresh(self) -> None:
        """Reads the sessions in use again before what is cached of them grows too old. To be called every second.

        Raises `DatabaseUnavailableError`.
        """
        await self._sessions.refresh()

    def try_authenticate(self, token: str) -> Principal | None:
        """The token's caller where token and session are cached; None says nothing. Never waits."""
        read = self._read.get(token)
        if read is None or self._clock.monotonic() - read.read_time > MAX_AGE_SECONDS:
            return None
        session = self._sessions.get(read.claims.session_id)
        now = self._clock.now()
        if session is None or read.claims.expire_time <= now or _dead_because(session, read.claims, now):
            return None
        self.uses.note(session.id)
        return session.principal(read.claims.expire_time)

    async def check(self, token: str) -> Principal | Refused:
        """The token's caller, or why it is refused."""
        claims = await self._tokens.read(token)
        if isinstance(claims, Refused):
            return claims
        session = await self._sessions.find(claims.session_id)
        if session is None:
            return Refused("the session has ended", guess=False)
        reason = _dead_because(session, claims, self._clock.now())
        if reason:
            return Refused(reason, guess=False)
        if len(self._read) >= _MAX_TOKENS:
            self._read.clear()
        self._read[token] = _ReadToken(claims, self._clock.monotonic())
        self.uses.note(session.id)
        return session.principal(claims.expire_time)

    async def _load(self, session_ids: Sequence[UUID]) -> Mapping[UUID, Session]:
        async with self._database.statement(Role.LOOKUP) as statement:
            return await store.lookup_sessions(statement, session_ids)


def _dead_because(session: Session, claims: AccessClaims, now: datetime) -> str:
    if session.user_id != claims.user_id or session.org_id != claims.org_id:
        return "the token and its session name different people"
    return "the session has expired" if session.expire_time <= now else ""
