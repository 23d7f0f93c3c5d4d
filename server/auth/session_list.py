"""A person's own sessions: seeing and ending them."""

from __future__ import annotations

from uuid import UUID

from server.audit import entries
from server.auth import store
from server.auth.session_book import SessionBook, announce
from server.auth.sessions import ListedSession
from server.foundation import ids
from server.foundation.clock import Clock
from server.rpc.context import CallContext
from server.rpc.errors import CredentialInvalidError, NotFoundError
from server.storage.database import Database


class SessionList:
    """The sessions of the person who calls."""

    def __init__(self, database: Database, book: SessionBook, clock: Clock) -> None:
        self._database = database
        self._book = book
        self._clock = clock

    async def list_page(self, context: CallContext, before: UUID | None, limit: int) -> list[ListedSession]:
        """Live sessions, newest first, beginning after `before`."""
        user_id = _person(context)
        async with self._database.person(user_id) as transaction:
            return await store.list_sessions(transaction, user_id, self._clock.now(), before, limit)

    async def revoke(self, context: CallContext, session_id: UUID) -> None:
        """Ends one session. Raises `NotFoundError`, also for one that has ended or is somebody else's."""
        org_id = context.principal.org_id
        async with self._database.registration(org_id, _person(context)) as transaction:
            if not await store.revoke_session(transaction, session_id, self._clock.now()):
                raise NotFoundError("session")
            await announce(transaction, session_id)
            subject = ids.to_text(ids.SESSION, session_id)
            await entries.record(transaction, context, org_id, "session.revoke", subject)
        self._book.forget([session_id])

    async def revoke_all(self, context: CallContext) -> int:
        """Ends every session, the calling one too; answers how many."""
        user_id, org_id = _person(context), context.principal.org_id
        async with self._database.registration(org_id, user_id) as transaction:
            ended = await self._book.end_all(transaction, user_id)
            subject = ids.to_text(ids.USER, user_id)
            await entries.record(transaction, context, org_id, "session.revoke_all", subject)
        self._book.forget(ended)
        return len(ended)


def _person(context: CallContext) -> UUID:
    if context.principal.user_id is None:
        raise CredentialInvalidError("only a person has sessions")
    return context.principal.user_id
