"""A counter that nobody knows begins with what the usage records say, key by key, model by model, person by person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from server.foundation.ids import uuid7
from server.limits.limits import Limit, Per, Scope, Unit
from server.limits.rebuilding import WantedSum
from server.rpc.errors import UnavailableError
from server.storage.database import Database, DatabaseUnavailableError, Role
from server.usage.limit_sums import LimitSums
from tests.limits.engine import Engine, admitted, open_engine, requests, tokens
from tests.support.databases import TestDatabase

_ZONE: Final = ZoneInfo("Asia/Kathmandu")
_MIDNIGHT: Final = datetime(2026, 11, 21, 18, 15, tzinfo=UTC)
_KEY, _USER = uuid4(), uuid4()
_INSERT_BUCKET: Final = "INSERT INTO usage_bucket VALUES ($1, $2, $3, $4, $5, 0, $6, 1, 1, 1, 1, 0)"
_INSERT_EVENT: Final = """
INSERT INTO usage_event (
    id, org_id, user_id, model_id, provider, provider_call_id, request_id, attempt, create_time, duration_ms,
    first_token_ms, streamed, ending, estimated, http_status, input_tokens, cache_read_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, cost, excess, funding)
VALUES ($1, $2, $3, 'm', 'p', 'c', 'r', 1, $4, 1, 1, false, 'complete', false, 200, $5, 0, 0, 0, 0, 0, 0, '')
"""


@pytest.fixture
async def recorded(database: TestDatabase, valkey_url: str) -> AsyncIterator[Engine]:
    """One process whose counters are rebuilt from a real database; 5 calls yesterday, 3 + 2 today, 1 elsewhere."""
    opened = await Database.connect({Role.APP: database.url})
    flushed: list[bool] = []

    async def catch_up() -> None:
        flushed.append(True)

    async with open_engine(valkey_url, 1, LimitSums(opened, catch_up)) as engine:
        owner = await asyncpg.connect(database.owner_url)
        await _record(owner, engine.org_id)
        await owner.close()
        engine.go_to(_MIDNIGHT + timedelta(minutes=50))
        yield engine
        assert flushed, "calls that ended here are brought into the database first"
    await opened.close()


async def _record(owner: asyncpg.Connection, org_id: UUID) -> None:
    quarter = timedelta(minutes=15)
    for org, start, model, key, calls, used in (
        (org_id, _MIDNIGHT - quarter, "m", _KEY, 5, 500),
        (org_id, _MIDNIGHT, "m", _KEY, 3, 96),
        (org_id, _MIDNIGHT + quarter, "other", UUID(int=0), 2, 46),
        (uuid4(), _MIDNIGHT, "m", _KEY, 1, 1000),
    ):
        await owner.execute(_INSERT_BUCKET, org, start, model, key, calls, used)
    for user, moment in ((_USER, _MIDNIGHT), (_USER, _MIDNIGHT - timedelta(seconds=1)), (uuid4(), _MIDNIGHT)):
        call_id = UUID(int=int(moment.timestamp() * 1000) << 80 | (uuid7().int & (1 << 80) - 1))
        await owner.execute(_INSERT_EVENT, call_id, org_id, user, moment, 30)


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (requests(Per.DAY, 10), 5),
        (requests(Per.MONTH, 20), 10),
        (tokens(Per.DAY, 1000), 850),
        (requests(Per.DAY, 10, Scope.KEY, str(_KEY)), 7),
        (tokens(Per.DAY, 1000, Scope.KEY, str(_KEY)), 900),
        (requests(Per.DAY, 10, Scope.MODEL, "other"), 8),
        (requests(Per.DAY, 10, Scope.USER, str(_USER)), 9),
        (tokens(Per.MONTH, 1000, Scope.USER, str(_USER)), 940),
        (requests(Per.HOUR, 10), 5),
        (Limit(Scope.ORGANIZATION, Unit.REQUESTS, Per.DAY, 3), 0),
    ],
)
async def test_it_begins_with_what_was_used_in_its_window(recorded: Engine, limit: Limit, left: int) -> None:
    gate = recorded.gate(limit, zone=_ZONE)
    if limit.unit is Unit.TOKENS:
        assert len(await admitted(gate, 1, left + 1)) == 0
        assert len(await admitted(gate, 1, left)) == 1
    else:
        assert len(await admitted(gate, 12)) == left


async def test_it_is_rebuilt_again_when_valkey_forgets(recorded: Engine) -> None:
    gate = recorded.gate(requests(Per.DAY, 10), tokens(Per.DAY, 10_000), zone=_ZONE)
    running = await admitted(gate, 2, 100)
    await recorded.valkey.flushall()
    again = await admitted(gate, 9, 100)
    # 5 are in the records, and 2 are running.
    assert len(again) == 3
    assert gate.states()[1].remaining == 10_000 - 150 - 100 * (len(again) + len(running))


class _Away:
    """A database that does not answer."""

    async def used(self, _org_id: UUID, _wanted: Sequence[WantedSum]) -> Sequence[int]:
        raise DatabaseUnavailableError("no connection")


async def test_without_the_database_nothing_is_rebuilt_and_nothing_let_through(valkey_url: str) -> None:
    async with open_engine(valkey_url, 1, _Away()) as engine:
        with pytest.raises(UnavailableError):
            await engine.gate(requests(Per.DAY, 10)).admit()
        # What needs no records goes on.
        assert len(await admitted(engine.gate(requests(Per.MINUTE, 10)), 1)) == 1


async def test_who_runs_tells_a_valkey_that_forgot_at_the_next_look(three: Engine) -> None:
    here, there, _ = three.gates(tokens(Per.DAY, 1000))
    running = await here.admit(600)
    await three.tend()
    await three.valkey.flushall()
    await three.tend()
    assert await admitted(there, 1, 401) == []
    assert len(await admitted(there, 1, 400)) == 1
    running.settle(600)


async def test_nothing_is_used_of_what_a_valkey_that_forgot_was_not_told(engine: Engine) -> None:
    gate = engine.gate(requests(Per.DAY, 1000))
    (await gate.admit()).release()
    await engine.tend()
    assert gate.take() is not None
    await engine.valkey.flushall()
    await engine.tend()
    # It is rebuilt first.
    assert gate.take() is None
    assert len(engine.records.asked) == 1
    await gate.admit()
    assert len(engine.records.asked) == 2
