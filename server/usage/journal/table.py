"""The journal of a process on a host without a disk that outlives it: a table.

What a call's end is charged is no record here: it is settled before the last of its answer goes out, with all that end
at the time. The table tells what a process was doing when it died: which calls it had begun, and how far they had come,
a tenth of a second ago. A call that is over sooner leaves no row.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg
import structlog

from server.billing.hold_store import LOST_RACES
from server.storage.database import Database, DatabaseUnavailableError, Role
from server.usage import open_call_store
from server.usage.journal.reader import JournaledCall
from server.usage.journal.records import Opened, Progressed, payload_of, record_of

WRITE_SECONDS: Final = 0.1
"""Records wait so long for company."""

_MOST: Final = 2000
"""New calls in one statement."""

_FAILURES: Final = (DatabaseUnavailableError, *LOST_RACES)

_log = structlog.get_logger("journal")


class DatabaseJournal:
    """The calls of one process that are not settled yet."""

    tend_seconds: Final = WRITE_SECONDS

    def __init__(self, database: Database, process_id: UUID) -> None:
        self._database = database
        self._process_id = process_id
        self._calls: set[bytes] = set()
        self._new: dict[bytes, Opened] = {}
        """Calls that have no row yet."""
        self._progress: dict[bytes, Progressed] = {}
        """What their rows do not tell yet."""
        self._over: set[bytes] = set()
        """Settled calls that have a row."""

    def start(self) -> None:
        """The table is there."""

    def opened(self, record: Opened) -> None:
        """Remembers a call; its row follows."""
        self._calls.add(record.call)
        self._new[record.call] = record

    def progressed(self, record: Progressed) -> None:
        """Remembers how far the call came."""
        if record.call in self._calls:
            self._progress[record.call] = record

    def is_safe(self, call: bytes) -> bool:
        """Whether the call is settled."""
        return call not in self._calls

    def done(self, call: bytes) -> None:
        """The call is settled."""
        if call not in self._calls:
            return
        self._calls.discard(call)
        self._progress.pop(call, None)
        if self._new.pop(call, None) is None:
            self._over.add(call)

    @property
    def waiting(self) -> int:
        """Calls that are not settled yet."""
        return len(self._calls)

    async def tend(self) -> None:
        """Writes what has changed, as far as the database takes it."""
        try:
            while self._new or self._progress or self._over:
                await self._write()
        except _FAILURES as error:
            _log.debug("calls were not noted", calls=len(self._new), error=repr(error))

    async def close(self) -> None:
        """Writes the last of it."""
        await self.tend()

    def remove(self) -> None:
        """Rows go with their calls."""

    async def _write(self) -> None:
        new = dict(list(self._new.items())[:_MOST])
        progress = {call: record for call, record in self._progress.items() if call in new or call not in self._new}
        over = set(self._over)
        async with self._database.statement(Role.METER) as transaction:
            await open_call_store.note(
                transaction,
                self._process_id,
                [(UUID(bytes=call), UUID(bytes=row.org), payload_of(row)) for call, row in new.items()],
                [(UUID(bytes=call), row.output, row.reasoning) for call, row in progress.items()],
                [UUID(bytes=call) for call in over],
            )
        # Meanwhile calls went on and ended.
        for call in new:
            if self._new.pop(call, None) is None:
                self._over.add(call)
        for call, record in progress.items():
            if self._progress.get(call) is record:
                del self._progress[call]
        self._over -= over


def journaled(row: asyncpg.Record) -> JournaledCall:
    """What a row of a dead process tells of its call. Raises `msgspec.MsgspecError`."""
    opened = record_of(row["record"])
    assert isinstance(opened, Opened), "only these have rows"
    if row["output"] is None:
        return JournaledCall(opened)
    return JournaledCall(opened, Progressed(opened.call, row["output"], row["reasoning"]))
