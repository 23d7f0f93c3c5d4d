"""Transactions of one call as one commit: all of them or none, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from server.storage.database import Database, Role, Transaction
from tests.support.databases import TestDatabase

ONE, TWO = UUID(int=1), UUID(int=2)
WRITE: Final = "INSERT INTO outbox (org_id, kind, payload) VALUES ($1, $2, '{}')"
ANNOUNCE: Final = "INSERT INTO invalidation (kind, subject) VALUES ('test', $1)"


@pytest.fixture
async def connected(database: TestDatabase) -> AsyncIterator[Database]:
    opened = await Database.connect(dict.fromkeys((Role.APP, Role.KEEPER, Role.PLATFORM), database.url))
    yield opened
    await opened.close()


async def write(database: Database, org_id: UUID, kind: str) -> None:
    """What a domain does."""
    async with database.tenant(org_id) as transaction:
        await transaction.execute(WRITE, org_id, kind)


async def kinds(database: Database) -> set[str]:
    """What was committed."""
    async with database.statement(Role.KEEPER) as transaction:
        return {row[0] for row in await transaction.fetch("SELECT kind FROM outbox")}


async def test_nothing_is_committed_before_all_of_it_is(connected: Database) -> None:
    async with connected.effect() as effect:
        await write(connected, ONE, "first")
        await write(connected, TWO, "second")
        last = await effect.last(Role.APP, ONE)
        await last.execute(WRITE, ONE, "last")
        assert await kinds(connected) == set()
    assert await kinds(connected) == {"first", "second", "last"}


async def test_an_error_takes_everything_back(connected: Database) -> None:
    with pytest.raises(KeyError):
        async with connected.effect():
            await write(connected, ONE, "first")
            raise KeyError
    assert await kinds(connected) == set()
    await write(connected, ONE, "the connection is as good as before")
    assert len(await kinds(connected)) == 1


async def test_a_step_that_failed_is_taken_back_alone(connected: Database) -> None:
    async with connected.effect():
        await write(connected, ONE, "first")
        with pytest.raises(asyncpg.PostgresError):
            await write(connected, ONE, None)  # type: ignore[arg-type]
        await write(connected, ONE, "second")
    assert await kinds(connected) == {"first", "second"}


async def test_each_step_sees_its_own_organization_only(connected: Database) -> None:
    async with connected.effect():
        await write(connected, ONE, "first")
        for other in (connected.tenant(TWO), connected.shared()):
            async with other as transaction:
                assert await organization_of(transaction) != str(ONE)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connected.tenant(TWO) as transaction:
                await transaction.execute(WRITE, ONE, "smuggled")
        async with connected.tenant(ONE) as transaction:
            assert await organization_of(transaction) == str(ONE)


async def organization_of(transaction: Transaction) -> str:
    """Whose rows row level security shows."""
    found: str = await transaction.fetchval("SELECT current_setting('app.org_id')")
    return found


async def test_what_is_written_last_commits_last(connected: Database) -> None:
    async with connected.effect() as effect:
        await write(connected, ONE, "app")
        async with connected.privileged(Role.PLATFORM) as transaction:
            await transaction.execute(ANNOUNCE, "platform")
        last = await effect.last(Role.APP, ONE)
        assert await last.fetchval("SELECT current_user::text") == "tollbridge_platform", "where the change was made"
    assert await kinds(connected) == {"app"}


async def test_tasks_beside_it_have_transactions_of_their_own(connected: Database) -> None:
    with pytest.raises(KeyError):
        async with connected.effect():
            await write(connected, ONE, "taken back")
            await asyncio.create_task(write(connected, ONE, "of another task"))
            raise KeyError
    assert await kinds(connected) == {"of another task"}


async def test_who_is_cancelled_commits_nothing(connected: Database) -> None:
    began = asyncio.Event()

    async def change() -> None:
        async with connected.effect():
            await write(connected, ONE, "first")
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(change())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await write(connected, ONE, "after")
    assert await kinds(connected) == {"after"}
