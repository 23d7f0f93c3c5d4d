"""Whatever the order of credits, holds, settlements and debits: the ledger does what a few lines of Python do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from server.billing import store
from server.billing.errors import BalanceInsufficientError, BalanceReservedError
from server.billing.holds import Hold, HoldDetail, Holds
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from tests.billing.books import FAR, MODEL, Books, open_books
from tests.support.databases import TestDatabase

_Result = TypeVar("_Result")
SOON = datetime(2100, 1, 1, tzinfo=UTC)
AMOUNTS = st.integers(1, 200)


@dataclass(eq=False)
class ModelAccount:
    """An account that pays, in Python."""

    posted: int = 0
    reserved: int = 0

    @property
    def available(self) -> int:
        return self.posted - self.reserved


@dataclass(eq=False)
class ModelHold:
    """A hold, in Python."""

    account: ModelAccount
    spill: ModelAccount | None
    call_id: UUID
    hold: Hold


async def no_wait(_seconds: float) -> None:
    """Tests do not wait for other calls: there are none."""


def test_the_ledger_does_what_the_model_does(database: TestDatabase) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = open_books(database)
        books = runner.run(stack.__aenter__())

        class Machine(LedgerMachine):
            def __init__(self) -> None:
                super().__init__(runner, books)

        try:
            chosen = settings(
                max_examples=40,
                stateful_step_count=50,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            run_state_machine_as_test(Machine, settings=chosen)
            runner.run(books.assert_right())
        finally:
            runner.run(stack.__aexit__(None, None, None))


class LedgerMachine(RuleBasedStateMachine):
    """One organization, its accounts and its calls."""

    def __init__(self, runner: asyncio.Runner, books: Books) -> None:
        super().__init__()
        self.runner = runner
        self.books = books
        self.org_id = self.run(books.organization())
        self.promos: list[ModelAccount] = []
        self.wallet = ModelAccount()
        self.open: list[ModelHold] = []

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Waits for the work."""
        return self.runner.run(work)

    @property
    def accounts(self) -> list[ModelAccount]:
        """In the order in which they pay."""
        return [*self.promos, self.wallet]

    @precondition(lambda self: len(self.promos) < 3)
    @rule(amount=AMOUNTS)
    def promo(self, amount: int) -> None:
        expire_time = SOON + timedelta(days=len(self.promos))
        self.run(self.books.promo(self.org_id, amount, expire_time=expire_time))
        self.promos.append(ModelAccount(amount))

    @rule(amount=AMOUNTS, credit=st.booleans())
    def adjust_wallet(self, amount: int, credit: bool) -> None:
        outcome = self.run(self._move(amount, credit))
        if credit or self.wallet.available >= amount:
            assert outcome == "done"
            self.wallet.posted += amount if credit else -amount
        else:
            assert outcome == "below_floor"

    async def _move(self, amount: int, credit: bool) -> str:
        async with self.books.database.tenant(self.org_id) as transaction:
            sides = [await store.account_id(transaction, self.org_id, code) for code in ("issuance", "wallet")]
            debit, to = sides if credit else reversed(sides)
            return await store.move(transaction, self.org_id, uuid7(), debit, to, amount, "adjustment", "")

    @rule(amount=AMOUNTS)
    def hold(self, amount: int) -> None:
        call_id, now = uuid7(), self.books.clock.now()
        work = Holds(self.books.database, self.books.process_id, no_wait).open(
            org_id=self.org_id,
            call_id=call_id,
            model_id=MODEL,
            amount=amount,
            expire_time=now + FAR,
            detail=HoldDetail(MODEL, None, None, "req_test", False, now),
        )
        able = [account for account in self.accounts if account.available >= amount]
        try:
            hold = self.run(work)
        except BalanceReservedError:
            assert not able
            assert any(account.posted >= amount for account in self.accounts)
        except BalanceInsufficientError as error:
            assert all(account.posted < amount for account in self.accounts)
            most = max(0, *(account.available for account in self.accounts))
            assert error.available == most  # noqa: PT017 - that it is raised at all is for the model to say
        else:
            account = able[0]
            earlier = self.accounts[: self.accounts.index(account)]
            spill = next((row for row in earlier if row.available > 0), None)
            account.reserved += amount
            self.open.append(ModelHold(account, spill, call_id, hold))
            assert hold.available == sum(row.available for row in self.accounts)

    @precondition(lambda self: self.open)
    @rule(choice=st.integers(0, 1000), tokens=st.integers(0, 300), again=st.booleans())
    def settle(self, choice: int, tokens: int, again: bool) -> None:
        entry = self.open.pop(choice % len(self.open))
        settled = self.run(self.books.settle(entry.hold, entry.call_id, TokenCounts(output=tokens)))
        charged = min(tokens, entry.hold.amount)
        spilled = min(charged, max(0, entry.spill.available)) if entry.spill else 0
        if entry.spill:
            entry.spill.posted -= spilled
        entry.account.reserved -= entry.hold.amount
        entry.account.posted -= charged - spilled
        assert (settled.cost, settled.excess) == (charged, tokens - charged)
        if again:
            repeated = self.run(self.books.settle(entry.hold, entry.call_id, TokenCounts(output=tokens + 1)))
            assert (repeated.cost, repeated.excess) == (charged, tokens - charged)

    @invariant()
    def shows_the_models_balances(self) -> None:
        balance = self.run(self.books.balance(self.org_id))
        found = [(row.posted, row.reserved) for row in balance.funding]
        assert found == [(account.posted, account.reserved) for account in self.accounts]
        assert all(row.available >= 0 for row in balance.funding)
