"""Many calls come into the database at once, each once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog
from msgspec.structs import replace

from server.billing import lease_store
from server.billing.adjustments import Adjustments
from server.billing.lease import Lease
from server.billing.leases import Leases
from server.billing.service import BillingService
from server.foundation import ids, money
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.storage.database import Database, DatabaseUnavailableError, Role
from server.usage.flush import LONGEST_STALL_SECONDS, EndedCall, Flusher
from server.usage.metering import INTERRUPTED
from tests.billing.books import MODEL, PAGINATOR, Books, context_of, nothing_waits
from tollbridge.billing.v1.balance_pb2 import Transaction
from tollbridge.billing.v1.billing_service_pb2 import ListTransactionsRequest


def flusher(books: Books, flushed: list[EndedCall] | None = None, database: Any = None) -> Flusher:
    heard: list[EndedCall] = [] if flushed is None else flushed
    return Flusher(database or books.database, books.clock, uuid7, heard.append)


async def leased(books: Books, org_id: UUID, amount: int = 100) -> Lease:
    """A lease of twenty times `amount`."""
    lease = await Leases(books.database, books.process_id, books.clock, uuid7).grant(org_id, MODEL, amount)
    assert lease is not None
    return lease


def ended(books: Books, org_id: UUID, lease: Lease | None, tokens: int, excess: int = 0, **more: Any) -> EndedCall:
    call = replace(books.call(org_id, uuid7(), TokenCounts(input=tokens + excess)), **more)
    return EndedCall(call, None if lease is None else lease.id, "promo", tokens if lease else 0, excess)


async def row(books: Books, table: str, where: str = "true") -> asyncpg.Record:
    found = await books.owner.fetchrow(f"SELECT * FROM {table} WHERE {where}")
    assert found is not None
    return found


async def test_one_draw_pays_for_many_calls(books: Books) -> None:
    orgs = [await books.organization(promo=100_000) for _ in range(3)]
    leases = [await leased(books, org_id) for org_id in orgs]
    calls = [ended(books, org_id, lease, 10) for org_id, lease in zip(orgs, leases, strict=True) for _ in range(7)]

    await flusher(books).send(calls)

    assert await books.count("ledger_transfer", "kind = 'draw'") == 3
    assert await books.count("usage_event") == 21
    assert [(await books.balance(org_id)).posted for org_id in orgs] == [100_000 - 70] * 3
    bucket = await row(books, "usage_bucket", f"org_id = '{orgs[0]}'")
    assert (bucket["requests"], bucket["input_tokens"], bucket["cost"]) == (7, 70, 70)
    draw = await row(books, "ledger_transfer", f"kind = 'draw' AND org_id = '{orgs[0]}'")
    event = await row(books, "usage_event", f"org_id = '{orgs[0]}'")
    assert (event["transfer_id"], event["funding"]) == (draw["id"], "promo")
    assert await books.count("outbox") == 3
    await books.assert_right()


async def test_a_batch_that_is_sent_again_charges_nothing(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    calls = [ended(books, org_id, lease, 10) for _ in range(4)]

    await flusher(books).send(calls)
    await flusher(books).send([*calls, ended(books, org_id, lease, 5)])
    await flusher(books).send(calls)

    assert (await books.balance(org_id)).posted == 100_000 - 45
    assert (await row(books, "usage_bucket"))["requests"] == 5
    await books.assert_right()


async def test_the_platform_bears_what_providers_report_beyond(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    await flusher(books).send([ended(books, org_id, lease, 100, excess=900) for _ in range(2)])
    assert (await books.balance(org_id)).posted == 100_000 - 200
    assert (await row(books, "ledger_account", "code = 'provider_excess'"))["debits_posted"] == 1_800
    await books.assert_right()


async def test_the_platform_bears_calls_of_a_lease_that_is_no_more(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    gone, there = await leased(books, org_id), await leased(books, org_id)
    async with books.database.statement() as transaction:
        await lease_store.close(transaction, org_id, gone.id)

    await flusher(books).send([ended(books, org_id, gone, 30), ended(books, org_id, there, 20)])

    assert (await books.balance(org_id)).posted == 100_000 - 20
    assert (await row(books, "ledger_account", "code = 'bad_debt'"))["debits_posted"] == 30
    await books.assert_right()


async def test_more_than_a_lease_has_left_is_not_charged_to_it(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    await flusher(books).send([ended(books, org_id, lease, 2_001)])
    assert (await books.balance(org_id)).posted == 100_000
    assert (await row(books, "ledger_account", "code = 'bad_debt'"))["debits_posted"] == 2_001
    await books.assert_right()


async def test_calls_that_cost_nothing_need_no_lease(books: Books) -> None:
    org_id = await books.organization()
    await flusher(books).send([ended(books, org_id, None, 0, price=None, ending=INTERRUPTED)])
    event = await row(books, "usage_event")
    assert (event["cost"], event["funding"], event["transfer_id"]) == (0, "", None)
    assert (await row(books, "usage_bucket"))["errors"] == 1
    await books.assert_right()


@pytest.mark.parametrize("usage", [b'{"a":"\\u0000"}', b'{"a":1e999999}', b'{"a":"\\ud800"}', b"\xff"])
async def test_a_usage_that_cannot_be_stored_holds_up_nobody(books: Books, usage: bytes) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    calls = [ended(books, org_id, lease, 10), ended(books, org_id, lease, 10, raw_usage=usage)]
    await flusher(books).send(calls)
    assert await books.count("usage_event") == 2
    assert (await books.balance(org_id)).posted == 100_000 - 20
    assert await books.count("usage_event", "raw_usage IS NULL") == 1
    await books.assert_right()


class Away:
    """A database that is away, or whose answers get lost, for some batches."""

    def __init__(self, database: Database, failures: Sequence[str]) -> None:
        self.database = database
        self.failures = list(failures)
        self.failed = asyncio.Event()

    def statement(self, role: Role) -> Away:
        self.inner = self.database.statement(role)
        return self

    async def __aenter__(self) -> Any:
        if self.failures and self.failures[0] == "away":
            self.failures.pop(0)
            self.failed.set()
            raise DatabaseUnavailableError("away")
        return await self.inner.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        await self.inner.__aexit__(*error)
        if self.failures:
            self.failures.pop(0)
            raise DatabaseUnavailableError("the answer was lost")


async def test_nothing_is_lost_or_doubled_while_the_database_is_away(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    flushed: list[EndedCall] = []
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    away = Away(books.database, ["away", "away", "lost", "lost", "away"])
    working = Flusher(away, books.clock, uuid7, flushed.append, sleep=note)  # type: ignore[arg-type]
    calls = [ended(books, org_id, lease, 10) for _ in range(5)]
    for call in calls:
        working.add(call)
    running = asyncio.create_task(working.run())
    await working.catch_up()
    running.cancel()

    assert flushed == calls
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert (await books.balance(org_id)).posted == 100_000 - 50
    assert not working.overloaded
    await books.assert_right()


async def test_new_calls_are_refused_once_the_database_was_away_too_long(books: Books) -> None:
    org_id = await books.organization()
    back = asyncio.Event()

    async def wait(_seconds: float) -> None:
        await back.wait()

    away = Away(books.database, ["away"])
    working = Flusher(away, books.clock, uuid7, lambda _: None, sleep=wait)  # type: ignore[arg-type]
    working.add(ended(books, org_id, None, 0, price=None))
    running = asyncio.create_task(working.run())
    await away.failed.wait()
    before = working.overloaded
    books.clock.elapsed = LONGEST_STALL_SECONDS + 1
    during = working.overloaded
    back.set()
    await working.catch_up()
    running.cancel()
    assert (before, during, working.overloaded) == (False, True, False)


async def test_a_flush_that_is_cut_off_is_finished_at_the_stop(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    away = Away(books.database, ["away"])

    async def wait(_seconds: float) -> None:
        await asyncio.Event().wait()

    flushed: list[EndedCall] = []
    working = Flusher(away, books.clock, uuid7, flushed.append, sleep=wait)  # type: ignore[arg-type]
    working.add(ended(books, org_id, lease, 10))
    running = asyncio.create_task(working.run())
    await away.failed.wait()
    running.cancel()
    await asyncio.wait({running})

    assert await working.finish(5.0) == 0
    assert len(flushed) == 1
    await books.assert_right()


async def test_only_the_meter_may_flush(books: Books) -> None:
    org_id = await books.organization()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await Flusher(books.database, books.clock, uuid7, lambda _: None, role=Role.APP).send(
            [ended(books, org_id, None, 0, price=None)]
        )


async def test_the_statement_lists_calls_one_by_one_over_pages(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    calls = [ended(books, org_id, lease, 10 + number) for number in range(7)]
    await flusher(books).send(calls[:4])
    await flusher(books).send(calls[4:])
    service = BillingService(
        books.database, books.clock, PAGINATOR, Adjustments(books.database, books.clock, uuid7), nothing_waits
    )
    context, token = context_of(org_id), ""
    listed: list[Transaction] = []
    while True:
        page = await service.list_transactions(ListTransactionsRequest(page_size=3, page_token=token), context)
        listed += page.transactions
        token = page.next_page_token
        if not token:
            break
    assert len({row.id for row in listed}) == 8
    debits = {ids.from_text(ids.USAGE_EVENT, row.usage_event_id): row.amount for row in listed if row.kind == "usage"}
    assert debits == {call.call.id: money.to_text(call.charged) for call in calls}
    assert [row.kind for row in listed] == ["usage"] * 7 + ["promo"]


async def test_a_call_that_the_database_refuses_keeps_no_other_one_waiting(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    lease = await leased(books, org_id)
    taken = [ended(books, org_id, lease, 10) for _ in range(4)]
    # The first breaks a rule of its table, the last makes a sum too large.
    taken.append(ended(books, org_id, lease, 10, excess=2**62))
    refused = [ended(books, org_id, lease, 10, ending="unheard of"), ended(books, org_id, lease, 10, excess=2**62)]
    flushed: list[EndedCall] = []
    working = flusher(books, flushed)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(working.run())
        for call in (refused[0], *taken[:2], taken[4], refused[1]):
            working.add(call)
        await working.catch_up()
        for call in taken[2:4]:
            working.add(call)
        await working.catch_up()
        running.cancel()

    assert {call.call.id for call in flushed} == {call.call.id for call in taken}
    assert [line["event"] for line in logs] == ["the database refuses a call"] * 2
    assert working.waiting == 2
    assert not working.overloaded
    assert (await books.balance(org_id)).posted == 100_000 - 50


class Slow:
    """A database that takes its time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.statements = 0

    @asynccontextmanager
    async def statement(self, role: Role) -> AsyncIterator[Any]:
        self.statements += 1
        await asyncio.sleep(0.05)
        async with self._database.statement(role) as transaction:
            yield transaction


async def test_who_reads_waits_for_the_calls_before_and_for_no_other(books: Books) -> None:
    org_id = await books.organization()
    slow = Slow(books.database)
    working = flusher(books, database=slow)
    running = asyncio.create_task(working.run())

    async def call_on() -> None:
        while True:
            working.add(ended(books, org_id, None, 0, price=None))
            await asyncio.sleep(0.01)

    calling = asyncio.create_task(call_on())
    await asyncio.sleep(0.5)
    without_readers = slow.statements
    async with asyncio.timeout(1.5):
        for _ in range(3):
            await working.catch_up()
    calling.cancel()
    running.cancel()
    assert without_readers <= 3
    assert working._readers == {}
