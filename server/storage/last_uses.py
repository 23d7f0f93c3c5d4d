"""When credentials were last used: noted in memory on the way of a call, written for many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from server.foundation.clock import Clock
from server.storage.database import Database, DatabaseUnavailableError, Role, Transaction

FLUSH_SECONDS: Final = 60.0
"""Pause between two writes: each credential's row is written at most once in it by each process."""

_log = structlog.get_logger("last_uses")

Write = Callable[[Transaction, Sequence[UUID], Sequence[datetime]], Awaitable[None]]
"""Writes times of use, in the keeper's transaction; one that is there and later stays."""


class LastUses:
    """What was used in this process since the last flush. A time is that of the first use after a flush."""

    def __init__(self, database: Database, clock: Clock, write: Write) -> None:
        self._database = database
        self._clock = clock
        self._write = write
        self._times: dict[UUID, datetime] = {}

    def note(self, used: UUID) -> None:
        """Remembers a use. Never waits; on the way of every call."""
        if used not in self._times:
            self._times[used] = self._clock.now()

    async def flush(self) -> None:
        """Writes what was noted. What cannot be written is kept for the next flush.

        Raises `DatabaseUnavailableError` and asyncpg's errors.
        """
        if not self._times:
            return
        times, self._times = self._times, {}
        try:
            async with self._database.privileged(Role.KEEPER) as transaction:
                await self._write(transaction, list(times), list(times.values()))
        except BaseException:
            self._times = times | self._times
            raise

    async def flush_or_log(self) -> None:
        """The same at the end of a process, which no missing time of use may hold up."""
        try:
            await self.flush()
        except (DatabaseUnavailableError, asyncpg.PostgresError) as error:
            _log.warning("uses_lost", credentials=len(self._times), error=repr(error))
