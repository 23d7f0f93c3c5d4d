"""Connections go to whoever waits longest, and a broken one never goes to anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from server.storage.connections import Connections
from tests.support.databases import TestDatabase


@asynccontextmanager
async def opened(url: str, size: int, patience: float = 5.0) -> AsyncIterator[Connections]:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(url)

    connections = Connections(connect, size, patience)
    yield connections
    await connections.close()


async def test_one_connection_serves_many_in_turn(database: TestDatabase) -> None:
    order: list[int] = []
    async with opened(database.owner_url, 1) as connections:

        async def use(number: int) -> None:
            connection = await connections.acquire()
            order.append(number)
            assert await connection.fetchval("SELECT 1") == 1
            connections.release(connection, usable=True)

        await asyncio.gather(*(use(number) for number in range(20)))
    assert order == list(range(20))


async def test_who_waits_too_long_is_told(database: TestDatabase) -> None:
    async with opened(database.owner_url, 1, patience=0.05) as connections:
        held = await connections.acquire()
        with pytest.raises(TimeoutError):
            await connections.acquire()
        connections.release(held, usable=True)
        connections.release(await connections.acquire(), usable=True)


async def test_a_broken_connection_makes_room_for_a_new_one(database: TestDatabase) -> None:
    async with opened(database.owner_url, 1) as connections:
        broken = await connections.acquire()
        waiting = asyncio.ensure_future(connections.acquire())
        await asyncio.sleep(0)
        connections.release(broken, usable=False)
        fresh = await waiting
        assert fresh is not broken
        assert await fresh.fetchval("SELECT 1") == 1
        connections.release(fresh, usable=True)


async def test_one_that_the_server_closed_is_not_handed_out(database: TestDatabase) -> None:
    async with opened(database.owner_url, 2) as connections:
        first = await connections.acquire()
        other = await connections.acquire()
        pid = await first.fetchval("SELECT pg_backend_pid()")
        connections.release(first, usable=True)
        gone = asyncio.Event()
        first.add_termination_listener(lambda _connection: gone.set())
        await other.execute("SELECT pg_terminate_backend($1)", pid)
        await asyncio.wait_for(gone.wait(), 5)
        again = await connections.acquire()
        assert await again.fetchval("SELECT 1") == 1
        for connection in (again, other):
            connections.release(connection, usable=True)


async def test_whoever_leaves_the_queue_loses_no_connection(database: TestDatabase) -> None:
    async with opened(database.owner_url, 1) as connections:
        for _ in range(20):
            held = await connections.acquire()
            waiting = [asyncio.ensure_future(connections.acquire()) for _ in range(3)]
            await asyncio.sleep(0)
            connections.release(held, usable=True)
            # Cancelled in the very moment in which the connection was handed over.
            waiting[0].cancel()
            for turn in waiting[1:]:
                connections.release(await asyncio.wait_for(turn, 2), usable=True)
            with pytest.raises(asyncio.CancelledError):
                await waiting[0]


async def test_a_failed_connect_lets_the_next_try(database: TestDatabase) -> None:
    tries = 0

    async def connect() -> asyncpg.Connection:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("refused")
        return await asyncpg.connect(database.owner_url)

    connections = Connections(connect, 1, 5.0)
    first, second = await asyncio.gather(connections.acquire(), connections.acquire(), return_exceptions=True)
    assert isinstance(first, OSError)
    assert isinstance(second, asyncpg.Connection)
    connections.release(second, usable=True)
    await connections.close()
