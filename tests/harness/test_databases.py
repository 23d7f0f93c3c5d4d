"""Tests get databases and a Valkey that nobody has used."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
import redis

from tests.support.databases import Cluster, TestDatabase


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_nothing_of_one_test_is_in_the_next_ones_database(database: TestDatabase, turn: str) -> None:
    connection = await asyncpg.connect(database.owner_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('left_behind')") is None, turn
        await connection.execute("CREATE TABLE left_behind ()")
    finally:
        await connection.close()


async def test_a_database_is_migrated_and_its_login_is_no_superuser(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.url)
    try:
        assert await connection.fetchval("SELECT current_setting('is_superuser')") == "off"
        await connection.execute("SET ROLE tollbridge_app")
        assert await connection.fetchval("SELECT version_num FROM alembic_version")
    finally:
        await connection.close()


async def test_an_empty_database_has_no_schema(empty_database: TestDatabase) -> None:
    connection = await asyncpg.connect(empty_database.owner_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('alembic_version')") is None
    finally:
        await connection.close()


def test_a_database_goes_after_its_test_even_while_somebody_is_connected(postgres: Cluster) -> None:
    made = postgres.create_empty()
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        connection = runner.run(asyncpg.connect(made.owner_url))
        postgres.drop(made)
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            runner.run(asyncpg.connect(made.owner_url))
        connection.terminate()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_valkey_is_empty_at_the_start_of_each_test(valkey_url: str, turn: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0, turn
        client.set("left", "behind")
