"""A call is charged once, exactly, and never beyond its hold."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest
from msgspec.structs import replace

from server.billing.verify import verify
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.storage.database import DatabaseUnavailableError, Role
from server.usage.metering import CLIENT_LEFT, DEADLINE, PROVIDER_FAILED, Meter
from tests.billing.books import MODEL, Books


async def test_settling_again_answers_the_first_settlement(books: Books) -> None:
    org_id = await books.organization(promo=1000)
    call_id, hold = await books.hold(org_id, 100)

    answers = await asyncio.gather(
        *(books.settle(hold, call_id, TokenCounts(output=10 + number)) for number in range(10))
    )

    assert len({(answer.cost, answer.transfer_id) for answer in answers}) == 1
    assert (await books.balance(org_id)).posted == 1000 - answers[0].cost
    assert await books.count("usage_event") == 1
    assert await books.owner.fetchval("SELECT sum(requests) FROM usage_bucket") == 1
    assert await books.count("outbox", "kind = 'usage.recorded'") == 1
    await books.assert_right()


async def test_a_provider_that_reports_too_much_charges_the_platform_with_the_rest(books: Books) -> None:
    org_id = await books.organization(promo=1000)
    call_id, hold = await books.hold(org_id, 100)

    settled = await books.settle(hold, call_id, TokenCounts(input=100, output=900))

    assert (settled.cost, settled.excess, settled.available) == (100, 900, 900)
    assert (await books.balance(org_id)).posted == 900
    accounts = {
        row["code"]: (row["debits_posted"], row["credits_posted"])
        for row in await books.owner.fetch("SELECT * FROM ledger_account")
    }
    assert accounts["provider_excess"] == (900, 0)
    assert accounts["revenue"] == (0, 1000)
    await books.assert_right()


async def test_absurd_counts_are_cut_and_cannot_stop_the_settlement(books: Books) -> None:
    org_id = await books.organization(promo=1000)
    for _ in range(3):
        call_id, hold = await books.hold(org_id, 100)
        absurd = TokenCounts(2**70, 2**70, 2**70, 2**70, 2**70)
        assert (await books.settle(hold, call_id, absurd)).cost == 100
    books.price = replace(books.price, input=10**15, output=10**15)
    await books.owner.execute("UPDATE price_version SET input = 1000000000000000, output = 1000000000000000")
    call_id, hold = await books.hold(org_id, 100)
    settled = await books.settle(hold, call_id, TokenCounts(input=2**41, output=2**41))

    assert (settled.cost, settled.excess) == (100, 2**53 - 100)
    assert (await books.balance(org_id)).posted == 600


@pytest.mark.parametrize("ending", [CLIENT_LEFT, PROVIDER_FAILED, DEADLINE])
async def test_a_call_without_tokens_costs_nothing_and_is_still_in_the_history(books: Books, ending: str) -> None:
    org_id = await books.organization(promo=1000)
    call_id, hold = await books.hold(org_id, 100)

    settled = await books.meter.settle(hold, books.call(org_id, call_id, TokenCounts(), ending))

    assert (settled.cost, settled.excess, settled.transfer_id) == (0, 0, None)
    kinds = [row["kind"] for row in await books.owner.fetch("SELECT kind FROM ledger_transfer ORDER BY create_time")]
    assert kinds == ["single", "pending", "void"]
    event = await books.owner.fetchrow("SELECT * FROM usage_event")
    assert event is not None
    assert (event["cost"], event["funding"], event["transfer_id"], event["ending"]) == (0, "", None, ending)
    assert await books.owner.fetchval("SELECT errors FROM usage_bucket") == (ending != CLIENT_LEFT)
    await books.assert_right()


async def test_a_free_call_is_counted_and_costs_nothing(books: Books) -> None:
    org_id = await books.organization()
    call_id, hold = await books.hold(org_id, 0)

    settled = await books.meter.settle(
        hold, replace(books.call(org_id, call_id, TokenCounts(input=5, output=7)), price=None)
    )

    assert (settled.cost, settled.transfer_id) == (0, None)
    event = await books.owner.fetchrow("SELECT * FROM usage_event")
    assert event is not None
    assert (event["input_tokens"], event["output_tokens"], event["price_version"]) == (5, 7, None)
    await books.assert_right()


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"prompt_tokens": 3}', {"prompt_tokens": 3}),
        (b'{"id": "\\u0000"}', None),
        (b'{"id": "\\ud800"}', None),
        (b'{"x": 1e999999}', None),
        (b"{", None),
        (b'"\xff"', "�"),
        (b'"' + b"x" * 20_000 + b'"', None),
    ],
    ids=["plain", "nul", "surrogate", "huge number", "broken", "not utf-8", "long"],
)
async def test_whatever_the_provider_says_the_money_moves(books: Books, raw: bytes, kept: object) -> None:
    org_id = await books.organization(promo=1000)
    call_id, hold = await books.hold(org_id, 100)
    call = replace(books.call(org_id, call_id, TokenCounts(input=10)), raw_usage=raw, provider_call_id="a\0\ud800" * 99)

    settled = await books.meter.settle(hold, call)

    assert settled.cost == 10
    stored = await books.owner.fetchval("SELECT raw_usage FROM usage_event")
    assert (None if stored is None else json.loads(stored)) == kept
    provider_call_id = await books.owner.fetchval("SELECT provider_call_id FROM usage_event")
    assert provider_call_id == ("a?" * 99)


async def test_the_event_remembers_the_call(books: Books) -> None:
    org_id, key_id, user_id = await books.organization(promo=1000), uuid7(), uuid7()
    call_id, hold = await books.hold(org_id, 100)
    tokens = TokenCounts(1, 2, 3, 4, 5)
    call = replace(
        books.call(org_id, call_id, tokens), key_id=key_id, user_id=user_id, attempt=2, streamed=True, estimated=True
    )

    settled = await books.meter.settle(hold, call)

    row = await books.owner.fetchrow("SELECT * FROM usage_event")
    assert row is not None
    counts = [row[f"{name}_tokens"] for name in ("input", "cache_read", "cache_write", "output", "reasoning")]
    assert counts == [1, 2, 3, 4, 5]
    assert (row["id"], row["org_id"], row["key_id"], row["user_id"]) == (call_id, org_id, key_id, user_id)
    assert (row["model_id"], row["provider"], row["request_id"]) == (MODEL, "double", "req_test")
    assert (row["attempt"], row["streamed"], row["estimated"], row["http_status"]) == (2, True, True, 200)
    assert (row["cost"], row["excess"], row["funding"], row["transfer_id"]) == (15, 0, "promo", settled.transfer_id)
    assert (row["price_version"], row["duration_ms"], row["first_token_ms"]) == (books.price.version, 12, 3)
    partition = await books.owner.fetchval("SELECT tableoid::regclass::text FROM usage_event")
    assert partition == f"usage_event_{call.create_time:%Y_%m}"


async def test_no_tenant_sees_anothers_events(books: Books) -> None:
    org_id, other = await books.organization(promo=1000), await books.organization()
    call_id, hold = await books.hold(org_id, 100)
    await books.settle(hold, call_id, TokenCounts(input=1))

    seen = []
    for tenant in (org_id, other):
        async with books.database.tenant(tenant) as transaction:
            tables = ("usage_event", "usage_bucket", "ledger_transfer", "ledger_account", "funding")
            counts = [f"SELECT count(*) FROM {table} WHERE org_id = $1" for table in tables]
            seen += [await transaction.fetchval(count, org_id) for count in counts]
    async with books.database.shared() as transaction:
        seen.append(await transaction.fetchval("SELECT count(*) FROM usage_event"))

    assert [count > 0 for count in seen] == [True] * 5 + [False] * 6


class LostConnections:
    """A database that loses the answer of the first settlements. Stands for a network that breaks."""

    def __init__(self, books: Books, losses: int) -> None:
        self.books = books
        self.losses = losses

    def statement(self, role: Role = Role.APP) -> LosingStatement:
        return LosingStatement(self, role)


class LosingStatement:
    """A connection that breaks after the statement was carried out."""

    def __init__(self, network: LostConnections, role: Role) -> None:
        self.network = network
        self.statement = network.books.database.statement(role)

    async def __aenter__(self) -> object:
        return await self.statement.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self.statement.__aexit__(None, None, None)
        self.network.losses -= 1
        if self.network.losses >= 0:
            raise DatabaseUnavailableError("the answer was lost")


@pytest.mark.parametrize("losses", [1, 5])
async def test_an_answer_that_is_lost_is_asked_for_again(books: Books, losses: int) -> None:
    org_id = await books.organization(promo=1000)
    call_id, hold = await books.hold(org_id, 100)
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    meter = Meter(LostConnections(books, losses), note)  # type: ignore[arg-type]
    settled = await meter.settle(hold, books.call(org_id, call_id, TokenCounts(input=7)))

    assert (settled.cost, len(waited)) == (7, losses)
    assert (await books.balance(org_id)).posted == 993
    await books.assert_right()


async def test_a_database_that_stays_away_is_said_to_be(books: Books) -> None:
    org_id = await books.organization(promo=1000)
    call_id, hold = await books.hold(org_id, 100)

    async def no_wait(_seconds: float) -> None:
        return

    meter = Meter(LostConnections(books, 100), no_wait)  # type: ignore[arg-type]
    with pytest.raises(DatabaseUnavailableError):
        await meter.settle(hold, books.call(org_id, call_id, TokenCounts(input=7)))


async def test_verify_finds_what_was_changed_behind_its_back(books: Books) -> None:
    org_id = await books.organization(promo=1000)
    for _ in range(2):
        call_id, hold = await books.hold(org_id, 100)
        await books.settle(hold, call_id, TokenCounts(input=10))
    _, still_open = await books.hold(org_id, 100)
    one_more = "debits_posted = debits_posted + 1, credits_posted = credits_posted + 1"
    damages = [
        ("UPDATE ledger_account SET credits_posted = credits_posted + 1 WHERE code LIKE 'promo%'", "debits equal"),
        (f"UPDATE ledger_account SET {one_more} WHERE code IN ('wallet', 'issuance')", "balances are"),
        ("UPDATE usage_event SET cost = cost + 1", "usage events are charged"),
        ("UPDATE usage_event SET output_tokens = output_tokens + 1", "usage events are priced"),
        ("UPDATE usage_bucket SET requests = requests + 1", "buckets are"),
        ("UPDATE usage_half_hour SET requests = requests + 1", "half hours and days are"),
        ("UPDATE usage_day SET cost = cost - 1", "half hours and days are"),
        ("DELETE FROM usage_day", "half hours and days are"),
        ("DELETE FROM open_hold", "open holds and leases explain"),
        ("DELETE FROM usage_event", "usage events are charged"),
    ]
    await books.assert_right()
    assert isinstance(still_open.id, UUID)
    for damage, promise in damages:
        transaction = books.owner.transaction()
        await transaction.start()
        await books.owner.execute(damage)
        report = await verify(SeenBy(books))  # type: ignore[arg-type]
        await transaction.rollback()
        wrong = [line for line in report.lines if line.startswith("WRONG")]
        assert not report.ok
        assert any(line.startswith(f"WRONG {promise}") for line in wrong), (damage, report.lines)
    await books.assert_right()


class SeenBy:
    """The database from inside the superuser's open transaction, which is rolled back afterwards."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def privileged(self, _role: Role) -> SeenBy:
        return self

    async def __aenter__(self) -> object:
        return self.books.owner

    async def __aexit__(self, *_error: object) -> None:
        return
