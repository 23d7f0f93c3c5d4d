"""One organization's calls over several processes, as a few lines of Python have them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from server.billing import lease_store, store
from server.billing.errors import BalanceInsufficientError, BalanceReservedError
from server.billing.holds import Hold
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import UnavailableError
from server.storage.database import DatabaseUnavailableError
from server.usage.journal.table import DatabaseJournal
from server.usage.journal.writer import Journal
from server.usage.metering import ENDINGS, MeteredCall, Settlement
from tests.billing.books import Books
from tests.usage.model_calls import ModelCall, ModelProcess
from tests.usage.processes import FaultyDatabase, FaultyJournal, Process, reap, start

_Result = TypeVar("_Result")

AMOUNTS = st.sampled_from((1, 10, 60, 200))
TOKENS = st.sampled_from((0, 7, 60, 300))
WEIGHTS = {
    "admit": 6,
    "progress": 4,
    "close": 6,
    "ask_again": 2,
    "flush": 2,
    "tend": 3,
    "recall": 1,
    "start": 2,
    "adjust": 1,
    "lose_answers": 1,
    "go_away": 1,
    "come_back": 3,
    "die": 2,
    "forfeit": 1,
    "bury": 2,
}
"""How often each step is chosen. One rule for all of them: Hypothesis leaves rules out at random, and without calls
nothing happens at all."""
KINDS = st.sampled_from([kind for kind, weight in WEIGHTS.items() for _ in range(weight)])

# What the organization's books say, in one row.
_BOOKS = """
SELECT a.id, a.credits_posted - a.debits_posted AS posted, a.debits_pending AS reserved,
       (SELECT coalesce(sum(amount - drawn), 0) FROM spend_lease WHERE org_id = $1) AS leased,
       (SELECT coalesce(sum(amount - drawn), 0) FROM open_hold WHERE org_id = $1) AS held,
       (SELECT coalesce(sum(debits_posted), 0) FROM ledger_account WHERE org_id = $1 AND code = 'bad_debt') AS borne
FROM ledger_account a WHERE a.org_id = $1 AND a.code = 'wallet'
"""


@dataclass(frozen=True)
class Chosen:
    """What a step may need to know."""

    number: int
    amount: int
    tokens: int
    flag: bool
    part: float
    ending: str


CHOSEN = st.builds(
    Chosen,
    st.integers(0, 1000),
    AMOUNTS,
    TOKENS,
    st.booleans(),
    st.floats(0, 1),
    st.sampled_from(ENDINGS),
)


class BooksMachine(RuleBasedStateMachine):
    """One organization and its wallet, up to three processes, and whoever buries the dead."""

    def __init__(self, runner: asyncio.Runner, books: Books, folder: Path) -> None:
        super().__init__()
        self.runner = runner
        self.books = books
        self.folder = folder
        self.faulty = FaultyDatabase(books.database)
        self.org_id = self.run(books.organization())
        self.credited = 0
        self.living: list[ModelProcess] = []
        self.dead: list[ModelProcess] = []
        self.tried: set[UUID] = set()
        """Calls that were refused: a hold of theirs may be open, and is closed for nothing."""

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Waits for the work, and for what it began in the background."""
        return self.runner.run(self._finished(work))

    async def _finished(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        try:
            return await work
        finally:
            for owner in self.living if hasattr(self, "living") else []:
                while owner.process.leases._changes:
                    await asyncio.wait(owner.process.leases._changes.values())

    def process(self, chosen: Chosen) -> list[ModelProcess]:
        """One that lives, if any does."""
        return [self.living[chosen.number % len(self.living)]] if self.living else []

    def running(self, chosen: Chosen, *, ended: bool) -> list[tuple[ModelProcess, ModelCall]]:
        """One call of a living process that goes on, or one whose end nobody could promise yet; if there is one."""
        found = [
            (owner, call)
            for owner in self.living
            for call in owner.calls
            if not call.settled and (call.used is not None) == ended
        ]
        return [found[chosen.number % len(found)]] if found else []

    @property
    def calls(self) -> list[ModelCall]:
        return [call for owner in (*self.living, *self.dead) for call in owner.calls]

    @initialize(amount=st.sampled_from((300, 3_000, 30_000)), in_database=st.booleans())
    def begin(self, amount: int, in_database: bool) -> None:
        self._start(in_database)
        assert self.run(self._move(amount, credit=True)) == "done"
        self.credited = amount

    @rule(kind=KINDS, chosen=CHOSEN)
    def step(self, kind: str, chosen: Chosen) -> None:
        getattr(self, kind)(chosen)

    def start(self, chosen: Chosen) -> None:
        if len(self.living) < 3 and not self.faulty.away:
            self.faulty.lost_answers = 0
            self._start(chosen.flag)

    def _start(self, in_database: bool) -> None:
        started = start(self.books, self.folder, self.faulty, in_database=in_database)
        self.living.append(ModelProcess(self.run(started)))

    def adjust(self, chosen: Chosen) -> None:
        books = self.run(self._books())
        outcome = self.run(self._move(chosen.amount, credit=chosen.flag))
        enough = chosen.flag or books["posted"] - books["reserved"] >= chosen.amount
        assert outcome == ("done" if enough else "below_floor")
        if enough:
            self.credited += chosen.amount if chosen.flag else -chosen.amount

    async def _move(self, amount: int, *, credit: bool) -> str:
        async with self.books.database.tenant(self.org_id) as transaction:
            sides = [await store.account_id(transaction, self.org_id, code) for code in ("issuance", "wallet")]
            debit, to = sides if credit else reversed(sides)
            return await store.move(transaction, self.org_id, uuid7(), debit, to, amount, "adjustment", "")

    def admit(self, chosen: Chosen) -> None:
        for owner in self.process(chosen) * (1 + chosen.number % 3):
            call_id, books = uuid7(), self.run(self._books())
            try:
                hold, detail, _ = self.run(owner.process.begin(self.org_id, chosen.amount, call_id))
            except BalanceInsufficientError:
                assert books["posted"] < chosen.amount
            except BalanceReservedError:
                books = self.run(self._books())
                assert books["posted"] - books["reserved"] < chosen.amount
            except UnavailableError:
                self.tried.add(call_id)
            else:
                call = ModelCall(call_id, hold, detail)
                owner.calls.append(call)
                owner.wrote(call, "opened")

    def progress(self, chosen: Chosen) -> None:
        for owner, call in self.running(chosen, ended=False):
            owner.process.calls.progress(call.id, chosen.tokens, 0)
            owner.wrote(call, "progressed", chosen.tokens)

    def close(self, chosen: Chosen) -> None:
        for owner, call in self.running(chosen, ended=False):
            call.ending, call.used = chosen.ending, chosen.tokens
            self._settle(owner, call, failing=chosen.part > 0.8)

    def ask_again(self, chosen: Chosen) -> None:
        for owner, call in self.running(chosen, ended=True):
            self._settle(owner, call)

    def _settle(self, owner: ModelProcess, call: ModelCall, *, failing: bool = False) -> None:
        assert call.used is not None
        journal, before = owner.process.journal, owner.end
        if isinstance(journal, FaultyJournal):
            journal.failing = failing
        metered = owner.process.ended(call.detail, call.id, self.org_id, TokenCounts(output=call.used))
        try:
            settlement = self.run(self._settled(owner.process, call.hold, metered))
        except DatabaseUnavailableError:
            assert self.faulty.away or call.hold.lease is not None
        else:
            call.settled = True
            assert settlement.cost == call.charge(call.used)
        if isinstance(journal, FaultyJournal):
            if owner.end > before:
                owner.wrote(call, "closed", call.used)
            owner.safe = owner.safe if failing else owner.end
            journal.failing = False

    async def _settled(self, process: Process, hold: Hold, metered: MeteredCall) -> Settlement:
        """Settles, while the flush does its work as far as it can."""
        settling = asyncio.ensure_future(process.calls.settle(hold, metered))
        while not settling.done() and not process.flusher.waiting:
            await asyncio.wait({settling}, timeout=0.001)
        if process.flusher._commits and not self.faulty.away:
            await process.flusher.finish(5.0)
        return await settling

    def flush(self, chosen: Chosen) -> None:
        for owner in self.process(chosen):
            if not self.faulty.away:
                assert self.run(owner.process.flusher.finish(5.0)) == 0

    def tend(self, chosen: Chosen) -> None:
        self.books.clock.elapsed += 60 * chosen.part
        for owner in self.process(chosen):
            self.run(owner.process.leases.tend())
            self._note(owner)
            with suppress(DatabaseUnavailableError):
                self.run(owner.process.leases.close_strays())

    def _note(self, owner: ModelProcess) -> None:
        """What a process that keeps its journal in the database does ten times a second."""
        journal = owner.process.journal
        if isinstance(journal, DatabaseJournal):
            self.run(journal.tend())
            if not (journal._new or journal._progress):
                owner.safe = owner.end

    def recall(self, chosen: Chosen) -> None:
        for owner in self.process(chosen):
            self.run(owner.process.leases.recall(self.org_id))

    def lose_answers(self, chosen: Chosen) -> None:
        self.faulty.lost_answers = 1 + chosen.flag

    def go_away(self, _: Chosen) -> None:
        self.faulty.away = True

    def come_back(self, _: Chosen) -> None:
        self.faulty.away, self.faulty.lost_answers = False, 0

    def die(self, chosen: Chosen) -> None:
        for owner in self.process(chosen):
            self._kill(owner, chosen.part if chosen.flag else 1.0, lost_disk=chosen.number % 2 == 0)

    def _kill(self, owner: ModelProcess, kept: float, *, lost_disk: bool = False) -> None:
        """So much is kept of what it wrote and did not bring to the disk; its whole disk may be lost where that does
        not matter."""
        self.living.remove(owner)
        self.dead.append(owner)
        known = {row["id"] for row in self.run(self._events())}
        journal, written = owner.process.journal, owner.end
        self.run(owner.process.die())
        if isinstance(journal, Journal):
            length = owner.safe + int((written - owner.safe) * kept)
            os.truncate(journal.folder / "000001.journal", length)
            owner.lose(length, known)
            return
        owner.lose(owner.safe, known)
        if lost_disk:
            owner.process.row.lock_path.unlink()
            self.run(self._let_lapse(owner.process.row.id))

    async def _let_lapse(self, process_id: UUID) -> None:
        """A minute and more goes by."""
        for table, column, key in (("process", "seen_time", "id"), ("spend_lease", "expire_time", "process_id")):
            await self.books.owner.execute(
                f"UPDATE {table} SET {column} = {column} - '2 min'::interval WHERE {key} = $1", process_id
            )

    def forfeit(self, chosen: Chosen) -> None:
        if self.dead:
            self.run(self._forfeit(self.dead[chosen.number % len(self.dead)]))

    async def _forfeit(self, owner: ModelProcess) -> None:
        known = {row["id"] for row in await self._events()}
        async with self.books.database.statement() as transaction:
            for lease_id in {call.hold.id for call in owner.calls if call.hold.lease is not None}:
                await lease_store.close(transaction, self.org_id, lease_id)
        for call in owner.calls:
            call.borne = call.borne or (call.hold.lease is not None and call.id not in known)

    def bury(self, chosen: Chosen) -> None:
        owner = next((owner.process for owner in self.process(chosen)), None)
        with suppress(DatabaseUnavailableError):
            self.run(reap(self.books, self.folder, owner, self.faulty))

    async def _books(self) -> Any:
        return await self.books.owner.fetchrow(_BOOKS, self.org_id)

    async def _events(self) -> list[Any]:
        return list(await self.books.owner.fetch("SELECT id, cost FROM usage_event WHERE org_id = $1", self.org_id))

    @invariant()
    def money_is_there(self) -> None:
        books, events = self.run(self._books()), self.run(self._events())
        known = {row["id"]: row["cost"] for row in events}
        assert len(known) == len(events)
        assert books["posted"] >= books["reserved"]
        assert books["reserved"] == books["leased"] + books["held"]
        charged = 0
        for owner in (*self.living, *self.dead):
            for call in owner.calls:
                if call.id in known:
                    assert known[call.id] == (call.fate if owner in self.dead else call.charge(call.used or 0))
                    charged += 0 if call.borne else known[call.id]
        assert books["posted"] == self.credited - charged
        assert books["borne"] == sum(known.get(call.id, 0) for call in self.calls if call.borne)
        assert sum(known.values()) == charged + books["borne"]
        open_calls = [call for owner in self.living for call in owner.calls if call.id not in known]
        assert (
            sum(call.hold.amount if call.used is None else call.charge(call.used) for call in open_calls)
            <= (books["posted"])
        )

    def _check_leases(self, known: Collection[UUID]) -> None:
        """No process has more than the database keeps for it."""
        rests = self.run(self._rests())
        for owner in self.living:
            for lease in owner.process.leases._all.values():
                calls = [call for call in owner.calls if call.hold.lease is lease and call.id not in known]
                assert lease.free + sum(call.needed for call in calls) <= rests.get(lease.id, 0)

    async def _rests(self) -> dict[UUID, int]:
        rows = await self.books.owner.fetch("SELECT id, amount - drawn AS rest FROM spend_lease")
        return {row["id"]: row["rest"] for row in rows}

    def teardown(self) -> None:
        """The database is there, everybody dies, somebody comes by: nothing is open, nothing is missing."""
        self.faulty.away, self.faulty.lost_answers = False, 0
        while self.living:
            self._kill(self.living[0], 1.0)
        for _ in range(2):
            self.run(reap(self.books, self.folder))
        self.money_is_there()
        known = {row["id"] for row in self.run(self._events())}
        assert {call.id for call in self.calls if call.fate is not None or call.settled} <= known
        assert known <= {call.id for call in self.calls} | self.tried
        books = self.run(self._books())
        assert (books["reserved"], self.run(self.books.count("process"))) == (0, 0)
        self.run(self.books.assert_right())
