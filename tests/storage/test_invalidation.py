"""A change reaches every process within a second, with the bus or without it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from server.storage.database import Database, Role
from server.storage.invalidation import Invalidations, announce, sweep
from tests.support.databases import TestDatabase

NOBODY_LISTENS = "unix:///nonexistent/valkey.sock"


@pytest.fixture
async def pools(database: TestDatabase) -> AsyncIterator[Database]:
    opened = await Database.connect(dict.fromkeys(Role, database.url))
    yield opened
    await opened.close()


class Process:
    """One process' ear, and what it heard."""

    def __init__(self, pools: Database, bus_url: str) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.bus: Redis = Redis.from_url(bus_url)
        self.ear = Invalidations(pools, self.bus, {"key": self.heard.put_nowait})


@asynccontextmanager
async def running(pools: Database, bus_url: str) -> AsyncIterator[Process]:
    process = Process(pools, bus_url)
    task = asyncio.create_task(process.ear.run())
    yield process
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await process.bus.aclose()


async def change(pools: Database, kind: str, subject: str) -> None:
    async with pools.tenant(uuid4()) as transaction:
        await announce(transaction, kind, subject)


async def test_another_process_hears_within_a_second_without_a_bus(pools: Database) -> None:
    async with running(pools, NOBODY_LISTENS) as process:
        begin = time.monotonic()
        await change(pools, "key", "k1")
        assert await asyncio.wait_for(process.heard.get(), 5) == "k1"
        assert time.monotonic() - begin < 1.0


async def test_who_hastens_has_heard_when_it_returns(pools: Database, valkey_url: str) -> None:
    process = Process(pools, valkey_url)
    await change(pools, "key", "k2")
    await process.ear.hasten()
    assert process.heard.get_nowait() == "k2"
    await process.bus.aclose()


async def test_hastening_with_the_bus_away_still_works_here(pools: Database) -> None:
    process = Process(pools, NOBODY_LISTENS)
    await change(pools, "key", "k3")
    await process.ear.hasten()
    assert process.heard.get_nowait() == "k3"
    await process.bus.aclose()


async def test_each_change_is_heard_once_and_other_kinds_not_at_all(pools: Database, valkey_url: str) -> None:
    process = Process(pools, valkey_url)
    await change(pools, "key", "k4")
    await change(pools, "session", "s1")
    for _ in range(3):
        await process.ear.poll()
    assert process.heard.get_nowait() == "k4"
    assert process.heard.empty()
    await process.bus.aclose()


async def test_a_rolled_back_change_is_never_heard(pools: Database, valkey_url: str) -> None:
    process = Process(pools, valkey_url)
    with pytest.raises(ZeroDivisionError):
        await change_and_fail(pools)
    await process.ear.poll()
    assert process.heard.empty()
    await process.bus.aclose()


async def change_and_fail(pools: Database) -> None:
    async with pools.tenant(uuid4()) as transaction:
        await announce(transaction, "key", "k5")
        raise ZeroDivisionError


async def test_a_change_that_commits_late_is_heard(pools: Database, valkey_url: str) -> None:
    process = Process(pools, valkey_url)
    async with pools.tenant(uuid4()) as transaction:
        await announce(transaction, "key", "early id, late commit")
        await change(pools, "key", "later id")
        await process.ear.poll()
        assert process.heard.get_nowait() == "later id"
    await process.ear.poll()
    assert process.heard.get_nowait() == "early id, late commit"
    await process.bus.aclose()


async def test_old_rows_are_swept(pools: Database, database: TestDatabase) -> None:
    await change(pools, "key", "k6")
    async with pools.privileged(Role.KEEPER) as transaction:
        assert await transaction.fetchval("SELECT count(*) FROM invalidation") == 1
    async with pools.privileged(Role.KEEPER) as transaction:
        await sweep(transaction)
        assert await transaction.fetchval("SELECT count(*) FROM invalidation") == 1
