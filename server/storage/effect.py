"""All transactions of one call as one commit, with something more written into it.

A call that is remembered must not be carried out without being remembered, nor the other way round, wherever its
process dies. So its transactions do not commit when their `with` ends: they are steps of a transaction that goes on,
one for each role, and commit together with what is written last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

if TYPE_CHECKING:
    from server.storage.database import Role, Transaction

_BEGIN_STEP: Final = "SAVEPOINT step; SET LOCAL app.org_id = ''; SET LOCAL app.user_id = ''; "
_current: ContextVar[Effect | None] = ContextVar("effect", default=None)


def current() -> Effect | None:
    """The effect that this task's transactions are steps of, if any. Tasks that it started have transactions of their
    own: a connection does one thing at a time."""
    effect = _current.get()
    return effect if effect is not None and effect.belongs_to(asyncio.current_task()) else None


class Effect:
    """An async context: leaving it well commits everything, leaving it with an error nothing.

    Statements outside transactions (`Database.statement`) are no part of it.
    """

    def __init__(self, begin: Callable[[Role], AbstractAsyncContextManager[Transaction]]) -> None:
        """`begin` opens a role's transaction, which commits when it is left well."""
        self._begin = begin
        self._task: asyncio.Task[object] | None = None
        self._token: Token[Effect | None] | None = None
        self._open: dict[Role, tuple[AbstractAsyncContextManager[Transaction], Transaction]] = {}

    def belongs_to(self, task: asyncio.Task[object] | None) -> bool:
        """Whether this is the task that entered it."""
        return task is not None and task is self._task

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._token = _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None, "entered before it is left"
        _current.reset(self._token)
        self._task = None
        # What was opened first is committed first: the last one holds what is written last.
        for opened, _ in self._open.values():
            await opened.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def step(self, role: Role, settings: str) -> AsyncIterator[Transaction]:
        """What would be a transaction of its own: an error inside takes it back, and nothing before it."""
        transaction = await self._transaction(role)
        await transaction.execute(_BEGIN_STEP + settings)
        try:
            yield transaction
        except Exception:
            if not transaction.is_closed():
                await transaction.execute("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step")
            raise
        await transaction.execute("RELEASE SAVEPOINT step")

    async def last(self, role: Role, org_id: UUID) -> Transaction:
        """The transaction that commits last, seeing the organization: the one that was opened last, else a new one of
        the role."""
        latest = next(reversed(self._open), role)
        # Opened again as the last, where a role was used in between.
        transaction = await self._transaction(latest)
        await transaction.execute(f"SET LOCAL app.org_id = '{org_id}'")
        return transaction

    async def _transaction(self, role: Role) -> Transaction:
        opened = self._open.pop(role, None)
        if opened is None:
            context = self._begin(role)
            opened = (context, await context.__aenter__())
        self._open[role] = opened
        return opened[1]
