"""Transactions see whose they are, and a database that is away is a clear error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from server.storage.database import Database, DatabaseUnavailableError, Role
from tests.support.databases import TestDatabase

ORG = uuid4()
INSERT = "INSERT INTO organization (id, name, create_time, update_time) VALUES ($1, 'x', now(), now())"


@pytest.fixture
async def pools(database: TestDatabase) -> AsyncIterator[Database]:
    opened = await Database.connect(dict.fromkeys(Role, database.url))
    yield opened
    await opened.close()


async def add_organization(pools: Database, org_id: UUID) -> None:
    async with pools.tenant(org_id) as transaction:
        await transaction.execute(INSERT, org_id)


async def count(pools: Database, org_id: UUID) -> int:
    async with pools.tenant(org_id) as transaction:
        found: int = await transaction.fetchval("SELECT count(*) FROM organization")
        return found


async def test_a_tenant_sees_its_own_rows_only(pools: Database) -> None:
    await add_organization(pools, ORG)
    assert await count(pools, ORG) == 1
    assert await count(pools, uuid4()) == 0


async def test_without_a_tenant_nothing_is_seen(pools: Database) -> None:
    await add_organization(pools, ORG)
    async with pools.shared() as transaction:
        assert await transaction.fetchval("SELECT count(*) FROM organization") == 0


async def test_a_tenant_cannot_write_for_another(pools: Database) -> None:
    async with pools.tenant(uuid4()) as transaction:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await transaction.execute(INSERT, ORG)


async def test_the_tenant_ends_with_its_transaction(pools: Database) -> None:
    await add_organization(pools, ORG)
    async with pools.statement() as connection:
        assert await connection.fetchval("SELECT current_setting('app.org_id', true)") in {"", None}


async def test_an_error_inside_rolls_back(pools: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await fail_after_insert(pools)
    assert await count(pools, ORG) == 0


async def fail_after_insert(pools: Database) -> None:
    async with pools.tenant(ORG) as transaction:
        await transaction.execute(INSERT, ORG)
        raise ZeroDivisionError


async def test_a_cancelled_statement_leaves_a_usable_pool(pools: Database) -> None:
    async def sleep() -> None:
        async with pools.tenant(ORG) as transaction:
            await transaction.execute("SELECT pg_sleep(30)")

    running = [asyncio.ensure_future(sleep()) for _ in range(8)]
    await asyncio.sleep(0.2)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert await count(pools, ORG) == 0


async def test_ten_thousand_interleaved_reads_leak_nothing(pools: Database) -> None:
    tenants = [uuid4() for _ in range(8)]
    for org_id in tenants:
        await add_organization(pools, org_id)

    async def reader(org_id: UUID) -> None:
        for _ in range(1250):
            async with pools.tenant(org_id) as transaction:
                assert await transaction.fetchval("SELECT id FROM organization") == org_id

    await asyncio.gather(*(reader(org_id) for org_id in tenants))


async def test_a_database_that_is_not_there_is_named_as_such() -> None:
    with pytest.raises(DatabaseUnavailableError):
        await Database.connect({Role.APP: "postgresql://nobody@127.0.0.1:1/nothing"})


async def test_a_lost_connection_is_unavailable_and_the_next_one_works(pools: Database, database: TestDatabase) -> None:
    admin = await asyncpg.connect(database.owner_url)
    with pytest.raises(DatabaseUnavailableError):
        await kill_own_connection(pools, admin)
    await admin.close()
    assert await count(pools, ORG) == 0
    assert await pools.ready()


async def kill_own_connection(pools: Database, admin: asyncpg.Connection) -> None:
    async with pools.tenant(ORG) as transaction:
        pid = await transaction.fetchval("SELECT pg_backend_pid()")
        await admin.execute("SELECT pg_terminate_backend($1)", pid)
        await transaction.execute("SELECT 1")
