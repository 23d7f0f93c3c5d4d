"""Work that repeats in the background, done by one process of a database at a time."""

from __future__ import annotations

import asyncio
import traceback
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from server.storage.database import Database, DatabaseUnavailableError, Role, Transaction

# Named query: schedule_take_turn. True for one transaction at a time; the turn ends with the transaction.
_TAKE_TURN: Final = "SELECT pg_try_advisory_xact_lock($1, $2)"

_NAMESPACE: Final = 0x746C


@dataclass(frozen=True, slots=True)
class Loop:
    """A piece of background work that every process does for itself."""

    name: str
    seconds: float
    """Pause between two runs."""
    run: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class SharedLoop:
    """A piece of background work that one process of the database does at a time."""

    name: str
    seconds: float
    run: Callable[[Transaction], Awaitable[object]]
    """Works in the keeper's transaction that holds the turn; a second connection would wait for the others' turns."""


class Schedule:
    """Runs loops until it is stopped. A run that fails is logged and comes again at its time."""

    def __init__(self, database: Database, loops: Sequence[Loop | SharedLoop]) -> None:
        self._database = database
        self._loops = loops
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("schedule")

    def start(self) -> None:
        """Begins every loop; the first run comes at once."""
        self._tasks = [asyncio.create_task(self._repeat(loop), name=loop.name) for loop in self._loops]

    async def stop(self) -> None:
        """Ends every loop, and waits for it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _repeat(self, loop: Loop | SharedLoop) -> None:
        while True:
            try:
                await self._run_once(loop)
            except (DatabaseUnavailableError, asyncpg.PostgresError) as error:
                self._log.warning("loop_failed", loop=loop.name, error=repr(error))
            except Exception as error:  # noqa: BLE001 - a fault in one run must not end the work for good
                self._log.error("loop_broke", loop=loop.name, traceback="".join(traceback.format_exception(error)))
            await asyncio.sleep(loop.seconds)

    async def _run_once(self, loop: Loop | SharedLoop) -> None:
        if isinstance(loop, Loop):
            await loop.run()
            return
        async with self._database.privileged(Role.KEEPER) as transaction:
            if await transaction.fetchval(_TAKE_TURN, _NAMESPACE, zlib.crc32(loop.name.encode()) >> 1):
                await loop.run(transaction)
