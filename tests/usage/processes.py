"""A process as `usage.process_books` puts it together, whose background work is done by the test, and what may fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import UUID

from msgspec.structs import replace

from server.billing.holds import Hold, HoldDetail, Holds
from server.billing.leases import Leases
from server.billing.processes import IN_DATABASE, ON_DISK, JournalKind, RunningProcess
from server.billing.reaper import Reaper
from server.billing.reservations import Reservations
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.storage.database import Database, DatabaseUnavailableError, Role, Transaction
from server.usage.call_book import CallBook
from server.usage.flush import EndedCall, Flusher
from server.usage.journal.port import JournalFullError
from server.usage.journal.table import DatabaseJournal
from server.usage.journal.writer import Journal
from server.usage.metering import Meter, MeteredCall
from server.usage.process_books import abandoned_calls
from tests.billing.books import FAR, MODEL, Books

PROMPT = 3
"""Tokens of each call's prompt."""


class FaultyDatabase:
    """A database that goes away and comes back, and whose answers get lost after it has done what they tell of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False
        self.lost_answers = 0

    def statement(self, role: Role = Role.APP) -> AbstractAsyncContextManager[Transaction]:
        return self._faulty(self._database.statement(role))

    def tenant(self, org_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        return self._faulty(self._database.tenant(org_id))

    def privileged(self, role: Role) -> AbstractAsyncContextManager[Transaction]:
        return self._faulty(self._database.privileged(role))

    @asynccontextmanager
    async def _faulty(self, entered: AbstractAsyncContextManager[Transaction]) -> AsyncIterator[Transaction]:
        if self.away:
            raise DatabaseUnavailableError("away")
        async with entered as transaction:
            yield transaction
        if self.lost_answers:
            self.lost_answers -= 1
            raise DatabaseUnavailableError("the answer was lost")


class FaultyJournal(Journal):
    """A journal whose disk may fail once it is asked to keep what was written."""

    failing = False

    async def synced(self) -> None:
        if self.failing:
            raise JournalFullError("the disk fails")
        await super().synced()


@dataclass(slots=True)
class Process:
    """A process, with a flush that never comes on its own."""

    books: Books
    row: RunningProcess
    holds: Holds
    leases: Leases
    reservations: Reservations
    journal: FaultyJournal | DatabaseJournal
    flusher: Flusher
    calls: CallBook

    async def begin(self, org_id: UUID, amount: int, call_id: UUID | None = None) -> tuple[Hold, HoldDetail, UUID]:
        call_id, now = call_id or uuid7(), self.books.clock.now()
        detail = HoldDetail(MODEL, uuid7(), None, "req_test", True, now)
        hold = self.reservations.take(org_id, call_id, MODEL, amount) or await self.reservations.open(
            org_id=org_id, call_id=call_id, model_id=MODEL, amount=amount, expire_time=now + FAR, detail=detail
        )
        self.calls.open(
            hold, call_id, detail, provider="double", prompt_tokens=PROMPT, price=self.books.price, profile="pro"
        )
        return hold, detail, call_id

    def ended(self, detail: HoldDetail, call_id: UUID, org_id: UUID, tokens: TokenCounts) -> MeteredCall:
        call = self.books.call(org_id, call_id, tokens)
        return replace(call, key_id=detail.key_id, create_time=detail.create_time, streamed=True, profile="pro")

    async def die(self) -> None:
        """The kernel lets go of its lock; its journal stays as it was written."""
        if isinstance(self.journal, FaultyJournal):
            await self.journal.close()
        self.row._release()


async def no_wait(_seconds: float) -> None:
    """Tests do not wait for what they bring about themselves."""


async def start(
    books: Books, folder: Path, database: FaultyDatabase | None = None, *, in_database: bool = False
) -> Process:
    """A process with its row, its lock and its journal."""
    reached = cast("Database", database) if database is not None else books.database
    process_id = uuid7()
    files = folder / "journal" / str(process_id)
    journal = DatabaseJournal(reached, process_id) if in_database else FaultyJournal(files)
    journal.start()
    kind, path = (IN_DATABASE, None) if in_database else (ON_DISK, files)
    row = RunningProcess(reached, folder / "processes", process_id, path, cast("JournalKind", kind))
    await row.start(books.clock.now())
    leases = Leases(reached, process_id, books.clock, uuid7)

    def flushed(ended: EndedCall) -> None:
        calls.flushed(ended)

    flusher = Flusher(reached, books.clock, uuid7, flushed, sleep=no_wait)
    calls = CallBook(Meter(reached, sleep=no_wait), flusher, journal, leases)
    holds = Holds(reached, process_id, no_wait, leases.recall)
    return Process(books, row, holds, leases, Reservations(holds, leases), journal, flusher, calls)


async def reap(
    books: Books, folder: Path, process: Process | None = None, database: FaultyDatabase | None = None
) -> None:
    """What every living process does each ten seconds; without one, somebody who has nothing of its own."""
    reached = cast("Database", database) if database is not None else books.database
    abandoned = abandoned_calls(reached, folder / "journal", books.clock, uuid7)
    own, lost = (uuid7(), {}) if process is None else (process.row.id, process.holds.lost)
    await Reaper(reached, folder / "processes", own, abandoned, lost).reap(books.clock.now())
