"""A database of an earlier revision, with money, keys and calls in it, is as good as a new one after the upgrade."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from server.billing import transfer_ids
from server.billing.balances import load
from server.billing.verify import verify
from server.foundation.ids import uuid7
from server.models.prices import Price, TokenCounts
from server.storage.database import Database, Role
from server.storage.migrate import HEAD, current_revision, migrate
from server.usage.metering import Meter, MeteredCall, settlement_arguments
from tests.support.databases import LOGIN, TestDatabase

NOW: Final = datetime.now(UTC)
MODEL: Final = "old-model"
MILLION: Final = 1_000_000


def call_of(org_id: UUID, call_id: UUID, price: Price) -> MeteredCall:
    return MeteredCall(
        id=call_id,
        org_id=org_id,
        key_id=None,
        user_id=None,
        model_id=MODEL,
        provider="old",
        provider_call_id="chatcmpl-1",
        request_id="req_old",
        attempt=1,
        create_time=NOW,
        duration_ms=12,
        first_token_ms=3,
        streamed=False,
        ending="complete",
        estimated=False,
        tokens=TokenCounts(input=100, output=20),
        price=price,
        raw_usage=b"{}",
        http_status=200,
    )


async def fill(owner: asyncpg.Connection) -> tuple[UUID, UUID, Price]:
    """An organization with 1,000 nano-dollars, a key, a call that was settled and one that is held; by
    functions that every revision has."""
    org_id, now = uuid7(), NOW
    await owner.execute(
        "INSERT INTO provider (name, kind, base_url, sealed_credential, create_time, update_time)"
        " VALUES ('old', 'openai', 'http://127.0.0.1:1/v1', '', $1, $1)",
        now,
    )
    await owner.execute(
        "INSERT INTO model (id, provider, upstream, context_tokens, max_output_tokens, free, reasoning,"
        " max_tokens_field, stream_usage, position, create_time, update_time)"
        " VALUES ($1, 'old', $1, 1000, 1000, false, false, 'max_tokens', true, 0, $2, $2)",
        *(MODEL, now),
    )
    version = await owner.fetchval(
        "INSERT INTO price_version (model_id, input, cache_read, cache_write, output, reasoning, effective_time)"
        " VALUES ($1, $2, $2, $2, $2, $2, $3) RETURNING version",
        *(MODEL, MILLION, now),
    )
    await owner.execute(
        "INSERT INTO organization (id, name, create_time, update_time) VALUES ($1, 'Old', $2, $2)", org_id, now
    )
    await owner.execute(
        "INSERT INTO subscription (id, org_id, plan_id, plan_version, start_time) VALUES ($1, $2, 'unlimited', 1, $3)",
        *(uuid7(), org_id, now),
    )
    await owner.execute(
        "INSERT INTO api_key (id, org_id, public_id, digest, name, masked, scopes, create_time, update_time)"
        " VALUES ($1, $2, 'oldkey', decode(repeat('00', 32), 'hex'), 'old', 'tb_live_old…', '{chat}', $3, $3)",
        *(uuid7(), org_id, now),
    )
    price = Price(version, *(MILLION,) * 5)
    return org_id, await spend(owner, org_id, price), price


async def spend(owner: asyncpg.Connection, org_id: UUID, price: Price) -> UUID:
    """Funds the wallet, settles one call, holds another; the id of the latter."""
    await owner.execute("SELECT ledger_open_accounts($1)", org_id)
    find = "SELECT id FROM ledger_account WHERE org_id = $1 AND code = $2"
    wallet, issuance = [await owner.fetchval(find, org_id, code) for code in ("wallet", "issuance")]
    move = "SELECT ledger_single($1, $2, $3, $4, 1000, 'adjustment', '')"
    assert await owner.fetchval(move, org_id, uuid7(), issuance, wallet) == "done"
    calls = [uuid7(), uuid7()]
    for call_id in calls:
        held: Any = await owner.fetchrow(
            "SELECT * FROM ledger_hold($1, $2, 300, $3, $4, $5, $6, NULL, NULL, 'req_old', false, $7)",
            *(org_id, transfer_ids.hold_id(org_id, call_id), uuid7(), NOW + timedelta(hours=1), call_id, MODEL, NOW),
        )
        assert held["outcome"] == "held"
    arguments = settlement_arguments(transfer_ids.hold_id(org_id, calls[0]), call_of(org_id, calls[0], price))
    places = ", ".join(f"${number}" for number in range(1, len(arguments) + 1))
    await owner.fetchrow(f"SELECT * FROM settle_call({places})", *arguments)
    return calls[1]


@pytest.mark.parametrize("revision", ["0001", "0003"])
async def test_money_calls_and_keys_outlive_the_upgrade(empty_database: TestDatabase, revision: str) -> None:
    await migrate(empty_database.owner_url, LOGIN, NOW, revision)
    owner = await asyncpg.connect(empty_database.owner_url)
    try:
        org_id, held_call, price = await fill(owner)
    finally:
        await owner.close()

    await migrate(empty_database.owner_url, LOGIN, NOW)

    assert await current_revision(empty_database.url) == HEAD
    database = await Database.connect(dict.fromkeys((Role.APP, Role.KEEPER, Role.LOOKUP), empty_database.url))
    try:
        async with database.statement(Role.LOOKUP) as lookup:
            key = await lookup.fetchrow("SELECT * FROM lookup_key('oldkey')")
        assert key is not None
        assert (key["name"], key["scopes"]) == ("old", ["chat"])
        hold_id = transfer_ids.hold_id(org_id, held_call)
        await Meter(database).settle_for_dead(hold_id, call_of(org_id, held_call, price))
        async with database.tenant(org_id) as transaction:
            balance = await load(transaction, org_id, NOW)
        assert (balance.posted, balance.reserved) == (1000 - 2 * 120, 0)
        report = await verify(database)
        assert report.ok, report.lines
    finally:
        await database.close()
