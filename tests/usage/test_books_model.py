"""Whatever the order of credits, calls, flushes, lost answers, outages, deaths and burials: ledger, leases and journal
together charge each call once, by what a few lines of Python say, and never promise what is not there.

TOLLBRIDGE_MODEL_EXAMPLES=500 (with `-o faulthandler_timeout=0`) tries so many random orders instead of the suite's few,
which are the same each time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from server.billing import lease_store, store
from server.billing.errors import BalanceInsufficientError, BalanceReservedError
from server.billing.holds import Hold, HoldDetail
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import UnavailableError
from server.storage.database import DatabaseUnavailableError
from server.usage.metering import ENDINGS
from tests.billing.books import Books, open_books
from tests.support.databases import TestDatabase
from tests.usage.processes import PROMPT, FaultyDatabase, Process, reap, start

_Result = TypeVar("_Result")

EXAMPLES = int(os.environ.get("TOLLBRIDGE_MODEL_EXAMPLES", "0"))
STEPS = 50
AMOUNTS = st.sampled_from((1, 10, 60, 200))
TOKENS = st.sampled_from((0, 7, 60, 300))
WEIGHTS = {
    "admit": 6,
    "progress": 3,
    "close": 6,
    "ask_again": 2,
    "flush": 2,
    "tend": 2,
    "recall": 1,
    "start": 2,
    "adjust": 1,
    "lose_answers": 2,
    "go_away": 1,
    "come_back": 3,
    "die": 1,
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


@dataclass(eq=False)
class ModelCall:
    """A call, in Python. Tokens cost a nano-dollar each."""

    id: UUID
    hold: Hold
    detail: HoldDetail
    ending: str = ""
    used: int | None = None
    """Tokens that it ended with, prompt included; None while it runs."""
    settled: bool = False
    """Whether its end was promised to its caller."""
    fate: int | None = None
    """What is charged where its process is dead; None: nobody knows of the call any more."""
    borne: bool = False
    """Its lease was given up: the platform pays."""

    @property
    def needed(self) -> int:
        """What must stay reserved until it is in the database."""
        return self.hold.amount if self.used is None else self.charge(self.used)

    def charge(self, tokens: int) -> int:
        return min(tokens, self.hold.amount)


@dataclass(eq=False)
class ModelProcess:
    """A process and what it wrote to its journal, in Python."""

    process: Process
    calls: list[ModelCall] = field(default_factory=list)
    written: list[tuple[int, ModelCall, str, int]] = field(default_factory=list)
    """(end in the file, call, kind, tokens) of every record."""
    safe: int = 0
    """So much of the file is on the disk."""

    def wrote(self, call: ModelCall, kind: str, tokens: int = 0) -> None:
        self.written.append((self.process.journal._length, call, kind, tokens))

    def lose(self, length: int) -> None:
        """The process is dead, and so much of its file was kept: what becomes of each call."""
        for call in self.calls:
            told = {kind: tokens for end, about, kind, tokens in self.written if about is call and end <= length}
            if "closed" in told:
                call.fate = call.charge(told["closed"])
            elif "progressed" in told:
                call.fate = call.charge(PROMPT + told["progressed"])
            elif "opened" in told or call.hold.lease is None:
                call.fate = 0


def test_ledger_leases_and_journal_do_what_the_model_does(database: TestDatabase, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = open_books(database)
        books = runner.run(stack.__aenter__())

        class Machine(BooksMachine):
            def __init__(self) -> None:
                super().__init__(runner, books, tmp_path)

        try:
            chosen = settings(
                max_examples=EXAMPLES or 30,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                derandomize=not EXAMPLES,
                # Making a failure small takes minutes: done by those who ask for more.
                phases=tuple(Phase) if EXAMPLES else (Phase.generate,),
                suppress_health_check=list(HealthCheck),
            )
            with structlog.testing.capture_logs():
                run_state_machine_as_test(Machine, settings=chosen)
        finally:
            runner.run(stack.__aexit__(None, None, None))


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

    @initialize(amount=st.sampled_from((300, 3_000, 30_000)))
    def begin(self, amount: int) -> None:
        self.living.append(ModelProcess(self.run(start(self.books, self.folder, self.faulty))))
        assert self.run(self._move(amount, credit=True)) == "done"
        self.credited = amount

    @rule(kind=KINDS, chosen=CHOSEN)
    def step(self, kind: str, chosen: Chosen) -> None:
        getattr(self, kind)(chosen)

    def start(self, _: Chosen) -> None:
        if len(self.living) < 3 and not self.faulty.away:
            self.faulty.lost_answers = 0
            self.living.append(ModelProcess(self.run(start(self.books, self.folder, self.faulty))))

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
            owner.process.journal.failing = chosen.part > 0.8
            self._settle(owner, call)
            owner.process.journal.failing = False

    def ask_again(self, chosen: Chosen) -> None:
        for owner, call in self.running(chosen, ended=True):
            self._settle(owner, call)

    def _settle(self, owner: ModelProcess, call: ModelCall) -> None:
        assert call.used is not None
        before = owner.process.journal._length
        metered = owner.process.ended(call.detail, call.id, self.org_id, TokenCounts(output=call.used))
        try:
            settlement = self.run(owner.process.calls.settle(call.hold, metered))
        except DatabaseUnavailableError:
            assert self.faulty.away or call.hold.lease is not None
        else:
            call.settled = True
            assert settlement.cost == call.charge(call.used)
        if owner.process.journal._length > before:
            owner.wrote(call, "closed", call.used)
        if not owner.process.journal.failing:
            owner.safe = owner.process.journal._length

    def flush(self, chosen: Chosen) -> None:
        for owner in self.process(chosen):
            if not self.faulty.away:
                assert self.run(owner.process.flusher.finish(5.0)) == 0

    def tend(self, chosen: Chosen) -> None:
        self.books.clock.elapsed += 60 * chosen.part
        for owner in self.process(chosen):
            self.run(owner.process.leases.tend())
            with suppress(DatabaseUnavailableError):
                self.run(owner.process.leases.close_strays())

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
            self._kill(owner, chosen.part if chosen.flag else 1.0)

    def _kill(self, owner: ModelProcess, kept: float) -> None:
        """So much is kept of what it wrote and did not bring to the disk."""
        self.living.remove(owner)
        self.dead.append(owner)
        written = owner.process.journal._length
        self.run(owner.process.die())
        length = owner.safe + int((written - owner.safe) * kept)
        os.truncate(owner.process.journal.folder / "000001.journal", length)
        owner.lose(length)

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
        for call in self.calls:
            if call.id in known:
                assert known[call.id] == self._expected(call)
                charged += 0 if call.borne else known[call.id]
        assert books["posted"] == self.credited - charged
        assert books["borne"] == sum(known.get(call.id, 0) for call in self.calls if call.borne)
        assert sum(known.values()) == charged + books["borne"]
        open_calls = [call for owner in self.living for call in owner.calls if call.id not in known]
        assert (
            sum(call.hold.amount if call.used is None else call.charge(call.used) for call in open_calls)
            <= (books["posted"])
        )

    @staticmethod
    def _expected(call: ModelCall) -> int | None:
        return call.fate if call.used is None else call.charge(call.used)

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
