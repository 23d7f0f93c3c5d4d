"""Leases admit without asking and never more than was reserved; what they do not need goes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from server.billing.errors import BalanceInsufficientError, BalanceReservedError, NoSubscriptionError
from server.billing.holds import Hold, HoldDetail, Holds
from server.billing.leases import Leases
from server.billing.reservations import Recalls, Reservations
from server.foundation.ids import uuid7
from server.rpc.errors import UnavailableError
from server.storage import invalidation
from server.storage.database import Database, Role
from tests.billing.books import DOLLAR, FAR, MODEL, Books
from tests.usage.processes import FaultyDatabase


@dataclass(slots=True)
class Holder:
    """What one process reserves with."""

    books: Books
    process_id: UUID
    leases: Leases
    reservations: Reservations

    async def reserve(self, org_id: UUID, amount: int, model: str = MODEL) -> Hold:
        call_id, now = uuid7(), self.books.clock.now()
        taken = self.reservations.take(org_id, call_id, model, amount)
        if taken is not None:
            return taken
        detail = HoldDetail(model, None, None, "req_test", False, now)
        return await self.reservations.open(
            org_id=org_id, call_id=call_id, model_id=model, amount=amount, expire_time=now + FAR, detail=detail
        )

    async def rows(self) -> list[Any]:
        return list(await self.books.owner.fetch("SELECT * FROM spend_lease WHERE process_id = $1", self.process_id))


async def holder(books: Books, hear: list[Leases] | None = None) -> Holder:
    """A process that lives; those in `hear` are told of recalls at once."""
    process_id = uuid7()
    await books.owner.execute(
        "INSERT INTO process (id, host, lock_path, heartbeat_time) VALUES ($1, 'host', '', now())", process_id
    )
    leases = Leases(books.database, process_id, books.clock, uuid7)
    others = [] if hear is None else hear
    others.append(leases)

    async def hasten() -> None:
        async with books.database.statement(Role.LOOKUP) as transaction:
            rows = await transaction.fetch("SELECT subject FROM invalidation WHERE kind = 'lease'")
        for row in rows:
            for other in others:
                other.forget(row["subject"])

    recalls = Recalls(books.database, leases, hasten, books.clock)
    return Holder(
        books, process_id, leases, Reservations(Holds(books.database, process_id, recall=recalls.recall), leases)
    )


async def test_plenty_is_asked_for_once(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)

    holds = [await one.reserve(org_id, 100) for _ in range(2)]

    assert len({hold.id for hold in holds}) == 1
    assert all(hold.lease is not None and hold.funding == "promo" for hold in holds)
    (row,) = await one.rows()
    assert (row["amount"], row["drawn"], row["model_id"]) == (2_000, 0, "")
    assert holds[0].available == 100_000 - 100
    assert await books.count("open_hold") == 0
    assert (await books.balance(org_id)).reserved == 2_000
    await books.assert_right()


async def test_a_lease_grows_before_it_is_needed(books: Books) -> None:
    org_id, one = await books.organization(promo=1_000_000), await holder(books)

    for _ in range(60):
        assert (await one.reserve(org_id, 100)).lease is not None
        await asyncio.sleep(0.002)

    (row,) = await one.rows()
    assert row["amount"] >= 6_000
    assert await books.count("open_hold") == 0
    await books.assert_right()


async def test_a_lease_is_a_fair_part_of_what_is_there(books: Books) -> None:
    org_id, one = await books.organization(promo=1_000), await holder(books)
    await holder(books)
    await one.reserve(org_id, 100)
    (row,) = await one.rows()
    assert row["amount"] == 1_000 // (4 * 2)


async def test_scarce_money_is_held_call_by_call_to_the_last_nano(books: Books) -> None:
    org_id, one = await books.organization(promo=300), await holder(books)

    holds = [await one.reserve(org_id, 100) for _ in range(3)]

    assert [hold.lease for hold in holds] == [None, None, None]
    assert await one.rows() == []
    with pytest.raises(BalanceReservedError):
        await one.reserve(org_id, 100)
    with pytest.raises(BalanceInsufficientError):
        await one.reserve(org_id, 301)
    await books.assert_right()


async def test_nothing_is_admitted_past_the_leases_time(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    first = await one.reserve(org_id, 100)
    # Two seconds are kept back for clocks that differ.
    books.clock.elapsed = 58.5
    assert one.reservations.take(org_id, uuid7(), MODEL, 100) is None
    second = await one.reserve(org_id, 100)
    assert second.lease is not None
    assert second.lease is not first.lease


async def test_what_is_idle_goes_back_and_what_calls_took_stays(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    running = await one.reserve(org_id, 300)
    books.clock.elapsed = 16

    await one.leases.tend()
    (row,) = await one.rows()
    assert row["amount"] - row["drawn"] == 300
    assert running.lease is not None
    running.lease.settle(300, 0)
    await one.leases.tend()

    assert await one.rows() == []
    assert (await books.balance(org_id)).reserved == 0
    await books.assert_right()


async def test_a_lease_that_stays_as_large_moves_nothing(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    hold = await one.reserve(org_id, 100)
    assert hold.lease is not None
    hold.lease.settle(100, 0)
    before = await books.count("ledger_transfer")
    books.clock.elapsed = 10
    for _ in range(3):
        await one.leases._begin_renewal(hold.lease)
    assert await books.count("ledger_transfer") == before
    assert hold.lease.good_until - books.clock.monotonic() > 57
    await books.assert_right()


async def test_giving_everything_back_takes_no_longer_for_many(books: Books) -> None:
    orgs, one = [await books.organization(promo=100_000) for _ in range(6)], await holder(books)
    for org_id in orgs:
        await one.reserve(org_id, 100)
    async with books.owner.transaction():
        await books.owner.execute("SELECT FROM ledger_account FOR UPDATE")
        async with asyncio.timeout(5):
            await one.leases.close()


async def test_a_starving_process_gets_what_others_can_spare(books: Books) -> None:
    org_id = await books.organization(promo=8_000)
    everybody: list[Leases] = []
    one, two = await holder(books, everybody), await holder(books, everybody)
    running = await one.reserve(org_id, 50)
    assert (await books.balance(org_id)).reserved == 1_000

    large = await two.reserve(org_id, 7_900)

    assert (running.lease is not None, large.lease) == (True, None)
    assert (await books.balance(org_id)).available == 50
    await books.assert_right()


async def test_five_hundred_at_once_never_reserve_more_than_there_is(books: Books) -> None:
    org_id = await books.organization(promo=100 * 50)
    everybody: list[Leases] = []
    holders = [await holder(books, everybody) for _ in range(3)]

    results = await asyncio.gather(
        *(holders[number % 3].reserve(org_id, 50) for number in range(500)), return_exceptions=True
    )

    held = [result for result in results if isinstance(result, Hold)]
    assert {type(result) for result in results} <= {Hold, BalanceReservedError}
    assert 95 <= len(held) <= 100
    await books.assert_right()


async def test_leases_for_one_model_pay_for_no_other(books: Books) -> None:
    org_id, one = await books.organization(), await holder(books)
    await books.promo(org_id, 100_000, models=[MODEL], expire_time=books.clock.now() + FAR)
    await books.promo(org_id, 50_000, key="all")

    for_model = await one.reserve(org_id, 100)
    for_other = await one.reserve(org_id, 100, "another")

    assert for_model.lease is not None
    assert for_other.lease is not None
    assert (for_model.lease.scope, for_other.lease.scope) == (MODEL, "another")
    balance = await books.balance(org_id)
    assert sorted(row.reserved for row in balance.funding if row.kind == "promo") == [2_000, 2_000]


async def test_a_lease_ends_with_the_account_that_it_is_of(books: Books) -> None:
    org_id, one = await books.organization(), await holder(books)
    await books.promo(org_id, 100_000, expire_time=books.clock.now() + timedelta(seconds=20))
    hold = await one.reserve(org_id, 100)
    assert hold.lease is not None
    assert 17 <= hold.lease.good_until - books.clock.monotonic() <= 18


async def keep_using(one: Holder, org_id: UUID) -> Hold:
    """A call every fourteen seconds for more than a minute; the last one's hold."""
    for _ in range(5):
        one.books.clock.elapsed += 14
        await one.reserve(org_id, 100)
        await one.leases.tend()
        await asyncio.gather(*one.leases._changes.values())
    one.books.clock.elapsed += 14
    return await one.reserve(org_id, 100)


async def test_a_busy_lease_ends_when_an_account_comes_in_that_pays_first(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000_000), await holder(books)
    first = await one.reserve(org_id, 100)
    await books.promo(org_id, 100_000, expire_time=books.clock.now() + timedelta(days=1), key="soon")

    last = await keep_using(one, org_id)

    assert last.lease is not None
    assert last.id != first.id
    balance = await books.balance(org_id)
    (soon,) = [row for row in balance.funding if row.kind == "promo" and row.expire_time is not None]
    assert soon.reserved > 0
    await books.assert_right()


async def test_a_busy_lease_ends_when_an_account_comes_in_for_one_model(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000_000), await holder(books)
    await one.reserve(org_id, 100)
    await books.promo(
        org_id, 100_000, models=[MODEL], expire_time=books.clock.now() + timedelta(days=1), key="for one model"
    )
    last = await keep_using(one, org_id)
    assert last.lease is not None
    assert last.lease.scope == MODEL


async def test_a_busy_lease_ends_with_its_plan(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000_000), await holder(books)
    await one.reserve(org_id, 100)
    await books.owner.execute("UPDATE subscription SET end_time = now()")
    with pytest.raises(NoSubscriptionError):
        await keep_using(one, org_id)


async def test_a_busy_lease_ends_where_providers_report_a_dollar_too_much(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000_000), await holder(books)
    first = await one.reserve(org_id, 100)
    assert first.lease is not None
    accounts = await books.owner.fetchrow(
        "SELECT e.id AS excess, r.id AS revenue FROM ledger_account e JOIN ledger_account r USING (org_id)"
        " WHERE org_id = $1 AND e.code = 'provider_excess' AND r.code = 'revenue'",
        org_id,
    )
    assert accounts is not None
    move = "SELECT ledger_single($1, $2, $3, $4, $5, 'excess', '')"
    await books.owner.execute(move, org_id, uuid7(), accounts["excess"], accounts["revenue"], DOLLAR + 1)
    assert (await keep_using(one, org_id)).lease is None


async def test_a_call_that_nobody_can_pay_for_is_refused_however_large(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    for amount in (2**70, 2**60, 2**53):
        with pytest.raises(BalanceInsufficientError):
            await one.reserve(org_id, amount)


async def test_a_database_that_hangs_is_waited_for_once(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    async with books.owner.transaction():
        await books.owner.execute("SELECT FROM ledger_account WHERE org_id = $1 FOR UPDATE", org_id)
        async with asyncio.timeout(3.5):
            with pytest.raises(UnavailableError):
                await one.reserve(org_id, 100)


async def test_a_database_that_hangs_is_waited_for_once_by_everybody(books: Books) -> None:
    """More callers than connections: who gets one late has no second patience for its statement."""
    orgs, one = [await books.organization(promo=250) for _ in range(20)], await holder(books)
    async with books.owner.transaction():
        await books.owner.execute("SELECT FROM ledger_account FOR UPDATE")
        async with asyncio.timeout(3.5):
            answers = await asyncio.gather(*(one.reserve(org_id, 100) for org_id in orgs), return_exceptions=True)
    assert {type(answer) for answer in answers} == {UnavailableError}


async def test_a_lease_that_is_recalled_while_it_grows_is_given_back(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    running = await one.reserve(org_id, 100)
    assert running.lease is not None
    growing = one.leases._begin_renewal(running.lease, 1_000)

    await one.leases.recall(org_id)
    await growing

    assert one.reservations.take(org_id, uuid7(), MODEL, 1) is None
    assert (await books.balance(org_id)).reserved == 100
    await books.assert_right()


async def test_nothing_is_admitted_against_a_lease_that_is_no_more(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    running = await one.reserve(org_id, 100)
    assert running.lease is not None
    await books.owner.execute("SELECT ledger_lease_resize($1, $2, $3, $3, -9999999, 0)", org_id, running.id, uuid7())
    await one.leases._begin_renewal(running.lease)
    assert not running.lease.take(1, books.clock.monotonic())


async def test_changes_that_overlap_are_both_waited_for(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    running = await one.reserve(org_id, 100)
    assert running.lease is not None
    finished = asyncio.Event()

    async def wait() -> None:
        await finished.wait()

    first = one.leases._begin_renewal(running.lease)
    second = one.leases._track(running.id, asyncio.ensure_future(wait()))
    await first
    await asyncio.sleep(0)
    assert one.leases._changes == {running.id: second}
    finished.set()
    await second


async def test_rows_whose_answer_was_lost_are_given_back(books: Books) -> None:
    org_id, one = await books.organization(promo=100_000), await holder(books)
    await one.reserve(org_id, 100)
    stranger = Leases(books.database, one.process_id, books.clock, uuid7)

    await stranger.close_strays()
    assert len(await one.rows()) == 1
    await books.owner.execute("UPDATE spend_lease SET create_time = create_time - interval '1 minute'")
    await one.leases.close_strays()
    assert len(await one.rows()) == 1
    await stranger.close_strays()

    assert await one.rows() == []
    await books.assert_right()


async def test_a_tenant_cannot_lease_another_ones_money(books: Books) -> None:
    org_id, other = await books.organization(promo=100_000), await books.organization()
    async with books.database.tenant(other) as transaction:
        with pytest.raises(Exception, match="belongs to another organization"):
            await transaction.fetchrow(
                "SELECT * FROM ledger_lease_open($1, $2, $3, $4, $5, 10, 100, 60)",
                *(org_id, uuid7(), uuid7(), uuid7(), MODEL),
            )


async def test_recalls_are_announced_once_a_second(books: Books) -> None:
    org_id, one = await books.organization(promo=1_000), await holder(books)
    recalls = Recalls(books.database, one.leases, _nobody, books.clock)
    await asyncio.gather(*(recalls.recall(org_id) for _ in range(20)))
    assert await books.count("invalidation", "kind = 'lease'") == 1
    assert invalidation.POLL_SECONDS < 1


async def _nobody() -> None:
    """There is no other process."""


async def test_what_a_lost_answer_left_reserved_is_given_back(books: Books) -> None:
    """The lease grew in the database and not in memory, or was to shrink and did not."""
    org_id = await books.organization(promo=100_000)
    database = FaultyDatabase(books.database)
    leases = Leases(cast("Database", database), books.process_id, books.clock, uuid7)
    lease = await leases.grant(org_id, MODEL, 10)
    assert lease is not None
    for _ in range(15):
        assert leases.take(org_id, MODEL, 10) is not None
    while leases._changes:
        await asyncio.wait(leases._changes.values())
    database.lost_answers = 1
    await leases._renew_quietly(lease, 500)
    rest = "SELECT amount - drawn FROM spend_lease"
    assert await books.owner.fetchval(rest) > lease.known

    await leases.tend()
    assert await books.owner.fetchval(rest) > lease.known, "the statement may be under way"
    books.clock.elapsed += 16
    lease.used = lease.opened + 16
    await leases.tend()
    assert await books.owner.fetchval(rest) == lease.known
    assert lease.lost == 0.0
    assert leases.take(org_id, MODEL, 10) is lease
    await books.assert_right()
