"""Work that repeats in the background: each process's own, and what is done once per database however many run."""

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

# Named query: schedule_note_run. Notes a run that is due and answers its name; answers nothing where another process
# has done it meanwhile. Rolled back with the run that fails, so that the next process tries.
_NOTE_RUN: Final = """
INSERT INTO background_run AS b (name, run_time) VALUES ($1, now())
ON CONFLICT (name) DO UPDATE SET run_time = excluded.run_time
WHERE b.run_time <= excluded.run_time - make_interval(secs => $2)
RETURNING name
"""

_NAMESPACE: Final = 0x746C
_EARLY: Final = 0.9
"""Share of the pause after which a run counts as due: processes do not ask at the same moments."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A piece of background work that every process does for itself."""

    name: str
    seconds: float
    """Pause between two runs."""
    run: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class SharedLoop:
    """A piece of background work that is done once per database: each pause by one process, whichever asks first."""

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
            turn = await transaction.fetchval(_TAKE_TURN, _NAMESPACE, zlib.crc32(loop.name.encode()) >> 1)
            if turn and await transaction.fetchval(_NOTE_RUN, loop.name, loop.seconds * _EARLY):
                await loop.run(transaction)
