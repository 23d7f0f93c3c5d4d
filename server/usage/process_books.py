"""All that one process keeps of its calls and of the money that was set aside for them, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from server.billing.holds import Holds
from server.billing.leases import Leases
from server.billing.processes import IN_DATABASE, JournalKind, RunningProcess
from server.billing.reaper import Reaper
from server.billing.reservations import Recalls, Reservations
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.storage.database import Database, DatabaseUnavailableError, Role
from server.storage.schedule import Loop
from server.usage.call_book import CallBook
from server.usage.flush import LONGEST_STALL_SECONDS, EndedCall, Flusher
from server.usage.interrupted import InterruptedCalls
from server.usage.journal.port import CallJournal
from server.usage.journal.table import DatabaseJournal
from server.usage.journal.writer import Journal
from server.usage.metering import Meter

_HEARTBEAT_SECONDS: Final = 3.0
_REAP_SECONDS: Final = 10.0
_TEND_SECONDS: Final = 1.0
_STRAY_SECONDS: Final = 30.0
_COMMIT_STALL_SECONDS: Final = 2.0
"""How long the database may be away before calls are refused whose ends nothing else could keep."""

_log = structlog.get_logger("usage")


class ProcessBooks:
    """Reservations and the call book of a process, with the work that keeps them: `start`, `loops`, `stop`."""

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        journals: Path,
        clock: Clock,
        new_id: NewId,
        hasten: Callable[[], Awaitable[None]],
        journal: JournalKind | None = None,
    ) -> None:
        """`data_dir` holds the processes' locks, `journals` a folder of records for each; `hasten` tells the other
        processes that something was announced; `journal` is where to keep it, if that was said: else on disk."""
        self.process_id: Final[UUID] = new_id()
        self._clock = clock
        in_database = journal == IN_DATABASE
        folder = journals / str(self.process_id)
        self._journal: CallJournal = DatabaseJournal(database, self.process_id) if in_database else Journal(folder)
        locks = data_dir / "processes"
        kept = None if in_database else folder
        self._process = RunningProcess(database, locks, self.process_id, kept, journal)
        self.leases = Leases(database, self.process_id, clock, new_id)
        recalls = Recalls(database, self.leases, hasten, clock)
        self.holds = Holds(database, self.process_id, recall=recalls.recall)
        self.reservations = Reservations(self.holds, self.leases)
        meter = Meter(database)
        longest_stall = _COMMIT_STALL_SECONDS if in_database else LONGEST_STALL_SECONDS
        self._flusher = Flusher(database, clock, new_id, self._flushed, longest_stall=longest_stall)
        self.calls = CallBook(meter, self._flusher, self._journal, self.leases)
        abandoned = abandoned_calls(database, journals, clock, new_id)
        self._reaper = Reaper(database, locks, self.process_id, abandoned, self.holds.lost)

    async def start(self) -> None:
        """Begins the journal and takes the process's place. Call before the first call is admitted.

        Raises OSError, `DatabaseUnavailableError` and `JournalUnsafeError`.
        """
        # In this order: whoever finds a row finds the journal, and whoever finds a journal finds the lock.
        self._process.lock()
        self._journal.start()
        await self._process.start(self._clock.now())

    def loops(self) -> Sequence[Loop]:
        """The background work that every process does for itself."""
        return (
            Loop("heartbeat", _HEARTBEAT_SECONDS, lambda: self._process.beat(self._clock.now())),
            Loop("flush", 0.0, self._flusher.run),
            Loop("journal", self._journal.tend_seconds, self._journal.tend),
            Loop("leases", _TEND_SECONDS, self.leases.tend),
            Loop("stray-leases", _STRAY_SECONDS, self.leases.close_strays),
            Loop("reaper", _REAP_SECONDS, lambda: self._reaper.reap(self._clock.now())),
        )

    async def others_run(self) -> bool:
        """Whether another process of the deployment has run for a while. Raises `DatabaseUnavailableError`."""
        return await self._process.others_run(self._clock.now())

    async def flush(self, seconds: float) -> int:
        """Brings what is left into the database, within `seconds`; how many calls remain in the journal."""
        return await self._flusher.finish(seconds)

    async def stop(self, seconds: float) -> None:
        """After every call ended and the loops stopped: brings what is left into the database, within `seconds`, gives
        the leases back and takes the process's place away. What remains, another process finds."""
        await self.flush(seconds)
        await self.leases.close()
        await self._journal.close()
        try:
            await self._process.stop(done=self._journal.waiting == 0, forget=self._journal.remove)
        except DatabaseUnavailableError as error:
            _log.warning("this process is left for another to bury", process=str(self.process_id), error=repr(error))

    def _flushed(self, ended: EndedCall) -> None:
        self.calls.flushed(ended)


def abandoned_calls(database: Database, journals: Path, clock: Clock, new_id: NewId) -> InterruptedCalls:
    """What settles the calls of dead processes, as the keeper."""
    return InterruptedCalls(
        database, Meter(database), Flusher(database, clock, new_id, lambda _: None, role=Role.KEEPER), journals
    )
