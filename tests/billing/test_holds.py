"""Nobody is charged beyond the balance, and every hold closes once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import asyncpg
import pytest

from server.billing.accounts import Accounts
from server.billing.errors import BalanceInsufficientError, BalanceReservedError, NoSubscriptionError
from server.billing.holds import Hold, HoldDetail, Holds
from server.billing.transfer_ids import close_id
from server.billing.verify import verify
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import InternalError
from server.storage.database import Database, Role
from tests.billing.books import FAR, MODEL, Books
from tests.usage.processes import FaultyDatabase


async def test_a_call_holds_its_worst_case_and_pays_what_it_cost(books: Books) -> None:
    org_id = await books.organization(promo=1000)

    call_id, hold = await books.hold(org_id, 300)
    during = await books.balance(org_id)
    settled = await books.settle(hold, call_id, TokenCounts(input=100, output=20))
    after = await books.balance(org_id)

    assert (hold.funding, hold.amount, hold.available) == ("promo", 300, 700)
    assert (during.posted, during.reserved, during.available) == (1000, 300, 700)
    assert (settled.cost, settled.excess, settled.available) == (120, 0, 880)
    assert settled.transfer_id == close_id(org_id, call_id)
    assert (after.posted, after.reserved, after.available) == (880, 0, 880)
    await books.assert_right()


async def test_a_hundred_concurrent_calls_get_exactly_what_is_there(books: Books) -> None:
    org_id = await books.organization(promo=40 * 25)

    results = await asyncio.gather(*(books.hold(org_id, 25) for _ in range(100)), return_exceptions=True)

    held = [result for result in results if not isinstance(result, BaseException)]
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(held) == 40
    assert {type(error) for error in refused} == {BalanceReservedError}
    await books.assert_right()
    await asyncio.gather(*(books.settle(hold, call_id, TokenCounts(input=25)) for call_id, hold in held))
    balance = await books.balance(org_id)
    assert (balance.posted, balance.reserved) == (0, 0)
    with pytest.raises(BalanceInsufficientError):
        await books.hold(org_id, 1)
    await books.assert_right()


async def test_money_that_goes_while_a_call_looks_at_it_is_not_held_twice(books: Books) -> None:
    org_id = await books.organization(promo=100)
    now = books.clock.now()
    other = (org_id, uuid7(), 80, books.process_id, now + FAR, uuid7(), MODEL, None, None, "req_other", False, now)
    first = books.owner.transaction()
    await first.start()
    placeholders = ", ".join(f"${number}" for number in range(1, 13))
    await books.owner.execute(f"SELECT ledger_hold({placeholders})", *other)

    second = asyncio.create_task(books.hold(org_id, 60))
    waiting = 0
    while not waiting and not second.done():
        waiting = await books.owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    await first.commit()

    with pytest.raises(BalanceReservedError):
        await second
    assert (await books.balance(org_id)).reserved == 80
    await books.assert_right()


async def test_calls_and_settlements_of_many_organizations_at_once_stay_right(books: Books) -> None:
    organizations = [await books.organization(promo=10_000) for _ in range(3)]

    async def one(number: int) -> None:
        call_id, hold = await books.hold(organizations[number % 3], 50)
        await books.settle(hold, call_id, TokenCounts(input=number % 3, output=10))

    await asyncio.gather(*(one(number) for number in range(90)))

    posted = [(await books.balance(org_id)).posted for org_id in organizations]
    assert posted == [10_000 - 30 * (10 + rest) for rest in range(3)]
    assert await books.count("open_hold") == 0
    await books.assert_right()


async def test_too_little_posted_is_402_and_says_what_is_needed(books: Books) -> None:
    org_id = await books.organization(promo=100)

    with pytest.raises(BalanceInsufficientError) as refusal:
        await books.hold(org_id, 101)

    assert refusal.value.available == 100
    assert refusal.value.metadata == {"required": "0.000000101", "available": "0.0000001", "currency": "USD"}
    assert await books.count("ledger_transfer", "kind = 'pending'") == 0


async def test_money_that_others_hold_is_waited_for_one_second(books: Books) -> None:
    org_id = await books.organization(promo=100)
    await books.hold(org_id, 60)
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    now = books.clock.now()
    detail = HoldDetail(MODEL, None, None, "req_test", False, now)
    with pytest.raises(BalanceReservedError) as refusal:
        await Holds(books.database, books.process_id, note).open(
            org_id=org_id, call_id=uuid7(), model_id=MODEL, amount=50, expire_time=now + FAR, detail=detail
        )

    assert sum(waited) == pytest.approx(1.0)
    assert refusal.value.retry_after == 1.0


async def test_a_waiting_call_goes_on_when_the_money_comes_free(books: Books) -> None:
    org_id = await books.organization(promo=100)
    call_id, hold = await books.hold(org_id, 60)

    async def settle_first(_seconds: float) -> None:
        await books.settle(hold, call_id, TokenCounts(input=1))

    now = books.clock.now()
    detail = HoldDetail(MODEL, None, None, "req_test", False, now)
    opened = await Holds(books.database, books.process_id, settle_first).open(
        org_id=org_id, call_id=uuid7(), model_id=MODEL, amount=99, expire_time=now + FAR, detail=detail
    )

    assert opened.amount == 99


async def test_an_organization_without_a_plan_cannot_call(books: Books) -> None:
    org_id = await books.organization(promo=100)
    async with books.database.tenant(org_id) as transaction:
        await transaction.execute("UPDATE subscription SET end_time = $1", books.clock.now())

    with pytest.raises(NoSubscriptionError):
        await books.hold(org_id, 1)


async def test_a_worst_case_of_nothing_holds_nothing(books: Books) -> None:
    org_id = await books.organization()

    call_id, hold = await books.hold(org_id, 0)
    settled = await books.settle(hold, call_id, TokenCounts())

    assert (hold.amount, hold.funding, settled.cost, settled.transfer_id) == (0, "", 0, None)
    assert await books.count("ledger_transfer") == 0
    assert await books.count("usage_event") == 1
    await books.assert_right()


async def test_a_hold_whose_answer_was_lost_is_found_again(books: Books) -> None:
    org_id = await books.organization(promo=100)
    call_id, first = await books.hold(org_id, 30)

    _, again = await books.hold(org_id, 30, call_id)

    assert (again.id, again.account_id, again.funding) == (first.id, first.account_id, first.funding)
    assert (await books.balance(org_id)).reserved == 30
    await books.settle(first, call_id, TokenCounts(input=1))
    with pytest.raises(InternalError):
        await books.hold(org_id, 30, call_id)
    await books.assert_right()


async def test_promo_pays_before_the_wallet_and_only_for_its_models(books: Books) -> None:
    org_id = await books.organization()
    soon = books.clock.now() + timedelta(days=1)
    await books.promo(org_id, 100, models=["another"])
    await books.promo(org_id, 100)
    await books.promo(org_id, 100, expire_time=soon)
    await books.promo(org_id, 100, expire_time=books.clock.now() - timedelta(seconds=1))

    _, first = await books.hold(org_id, 100)
    _, second = await books.hold(org_id, 100)
    _, other = await books.hold(org_id, 100, model="another")

    assert (first.available, second.available, other.available) == (100, 0, 0)
    order = await books.owner.fetch(
        "SELECT f.expire_time, f.models FROM open_hold h JOIN funding f USING (account_id) ORDER BY h.create_time"
    )
    assert [(row["expire_time"], row["models"]) for row in order] == [(soon, []), (None, []), (None, ["another"])]
    with pytest.raises(BalanceReservedError):
        await books.hold(org_id, 1)


async def test_a_nearly_empty_account_is_used_up_before_the_hold_is_charged(books: Books) -> None:
    org_id = await books.organization()
    await books.promo(org_id, 30, expire_time=books.clock.now() + timedelta(days=1))
    await books.promo(org_id, 1000)

    call_id, hold = await books.hold(org_id, 100)
    settled = await books.settle(hold, call_id, TokenCounts(input=70))

    posted = [row.posted for row in (await books.balance(org_id)).funding if row.kind == "promo"]
    assert (settled.cost, posted) == (70, [0, 960])
    call_id, hold = await books.hold(org_id, 100)
    assert (await books.settle(hold, call_id, TokenCounts(input=70))).cost == 70
    await books.assert_right()


async def test_a_call_that_the_nearly_empty_account_covers_costs_the_other_nothing(books: Books) -> None:
    org_id = await books.organization()
    await books.promo(org_id, 30, expire_time=books.clock.now() + timedelta(days=1))
    await books.promo(org_id, 1000)

    call_id, hold = await books.hold(org_id, 100)
    settled = await books.settle(hold, call_id, TokenCounts(input=20))

    posted = [row.posted for row in (await books.balance(org_id)).funding if row.kind == "promo"]
    assert (settled.cost, posted) == (20, [10, 1000])
    assert settled.transfer_id is not None
    await books.assert_right()


async def test_a_credit_line_pays_last_and_no_further_than_its_limit(books: Books) -> None:
    org_id = await books.organization(promo=10)
    async with books.database.tenant(org_id) as transaction:
        await Accounts().open_credit_line(transaction, org_id, 50, "terms of net 30")

    _, promo = await books.hold(org_id, 10)
    call_id, credit = await books.hold(org_id, 50)
    await books.settle(credit, call_id, TokenCounts(input=50))

    assert (promo.funding, credit.funding) == ("promo", "postpaid")
    balance = await books.balance(org_id)
    assert (balance.posted, balance.available) == (10 - 50, 0)
    with pytest.raises(BalanceInsufficientError):
        await books.hold(org_id, 11)
    await books.assert_right()


async def test_accounts_of_kind_included_pay_for_nothing(books: Books) -> None:
    org_id = await books.organization()
    async with books.database.tenant(org_id) as transaction:
        await transaction.fetchval("SELECT ledger_open_funding($1, 'included', '{}', NULL, '', -1000000)", org_id)

    with pytest.raises(BalanceInsufficientError):
        await books.hold(org_id, 1)


async def test_a_hold_can_be_drawn_on_before_it_closes(books: Books) -> None:
    org_id = await books.organization(promo=100)
    call_id, hold = await books.hold(org_id, 60)

    async def draw(amount: int) -> bool:
        async with books.database.statement() as transaction:
            drawn: bool = await transaction.fetchval(
                "SELECT ledger_draw($1, $2, $3, $4, $5)", org_id, hold.id, uuid7(), amount, call_id
            )
            return drawn

    assert [await draw(20), await draw(30), await draw(11)] == [True, True, False]
    balance = await books.balance(org_id)
    assert (balance.posted, balance.reserved) == (50, 10)
    report = await verify(books.database)
    assert [line for line in report.lines if "WRONG" in line and "usage" not in line] == []
    await books.settle(hold, call_id, TokenCounts())
    balance = await books.balance(org_id)
    assert (balance.posted, balance.reserved) == (50, 0)
    assert await draw(1) is False


async def test_no_tenant_opens_a_hold_for_another(books: Books) -> None:
    victim, thief = await books.organization(promo=100), await books.organization()
    arguments = (
        victim,
        uuid7(),
        1,
        uuid7(),
        books.clock.now(),
        uuid7(),
        MODEL,
        None,
        None,
        "",
        False,
        books.clock.now(),
    )

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with books.database.tenant(thief) as transaction:
            placeholders = ", ".join(f"${number}" for number in range(1, 13))
            await transaction.fetchrow(f"SELECT * FROM ledger_hold({placeholders})", *arguments)

    assert (await books.balance(victim)).reserved == 0


async def test_another_organizations_hold_cannot_be_settled(books: Books) -> None:
    victim, thief = await books.organization(promo=100), await books.organization()
    call_id, hold = await books.hold(victim, 50)

    stolen = Hold(hold.id, thief, hold.account_id, hold.funding, hold.amount, 0)
    settled = await books.meter.settle(stolen, books.call(thief, uuid7(), TokenCounts(input=50)))

    assert settled.cost == 0
    assert (await books.balance(victim)).reserved == 50
    assert (await books.settle(hold, call_id, TokenCounts(input=5))).cost == 5


async def test_no_runtime_role_writes_the_ledger_itself(books: Books) -> None:
    org_id = await books.organization(promo=100)
    call_id, hold = await books.hold(org_id, 10)
    await books.settle(hold, call_id, TokenCounts(input=1))
    attempts = [
        "UPDATE ledger_transfer SET amount = 1",
        "DELETE FROM ledger_transfer",
        "TRUNCATE ledger_transfer",
        "UPDATE ledger_account SET credits_posted = 1000000",
        "DELETE FROM ledger_account",
        "UPDATE funding SET models = '{}'",
        "DELETE FROM open_hold",
        "UPDATE usage_event SET cost = 0",
        "DELETE FROM usage_bucket",
        "DELETE FROM usage_half_hour",
        "UPDATE usage_day SET cost = 0",
        "SELECT ledger_settle(NULL, NULL, 0, NULL, NULL, NULL)",
    ]
    for role in Role:
        for attempt in attempts:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with books.database.statement(role) as transaction:
                    await transaction.execute(attempt)
    await books.assert_right()


async def test_transfers_do_not_change_even_for_the_owner(books: Books) -> None:
    await books.organization(promo=100)

    for attempt in ("UPDATE ledger_transfer SET amount = 1", "DELETE FROM ledger_transfer", "TRUNCATE ledger_transfer"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await books.owner.execute(attempt)


async def test_a_hold_whose_answer_was_lost_does_not_stand_in_its_own_way(books: Books) -> None:
    """The money is enough for one, and asked again the first of the two tries has it."""
    org_id, call_id, now = await books.organization(promo=100), uuid7(), books.clock.now()
    database = FaultyDatabase(books.database)
    database.lost_answers = 1
    holds = Holds(cast("Database", database), books.process_id)
    hold = await holds.open(
        org_id=org_id,
        call_id=call_id,
        model_id=MODEL,
        amount=80,
        expire_time=now + FAR,
        detail=HoldDetail(MODEL, None, None, "req_test", False, now),
    )
    assert (hold.amount, holds.lost) == (80, {})
    assert (await books.settle(hold, call_id, TokenCounts(input=80))).cost == 80
    await books.assert_right()
