"""The schema comes whole, once, and again without a change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from server.billing.seals import seal
from server.storage import partitions, roles
from server.storage.database import Role
from server.storage.migrate import HEAD, current_revision, login_of, migrate
from tests.support.databases import LOGIN, TestDatabase

NOW = datetime(2026, 11, 21, tzinfo=UTC)


async def test_an_empty_database_is_brought_to_head(empty_database: TestDatabase) -> None:
    assert await current_revision(empty_database.owner_url) is None
    await migrate(empty_database.owner_url, LOGIN, NOW)
    assert await current_revision(empty_database.url) == HEAD


async def test_two_at_once_and_once_more_are_as_good_as_one(empty_database: TestDatabase) -> None:
    await asyncio.gather(*(migrate(empty_database.owner_url, LOGIN, NOW) for _ in range(2)))
    await migrate(empty_database.owner_url, LOGIN, NOW)
    assert await current_revision(empty_database.url) == HEAD


async def test_a_ledger_of_an_older_schema_gets_its_place_and_is_sealed(
    empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade

    def only_to_0002(config: Config, _revision: str) -> None:
        upgrade(config, "0002")

    monkeypatch.setattr(command, "upgrade", only_to_0002)
    await migrate(empty_database.owner_url, LOGIN, NOW)
    monkeypatch.undo()
    connection = await asyncpg.connect(empty_database.owner_url)
    try:
        await connection.execute(
            "INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose)"
            " SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'single', gen_random_uuid(),"
            " gen_random_uuid(), i, 'adjustment' FROM generate_series(1, 100) i"
        )
        await connection.execute(
            "INSERT INTO audit_entry (id, org_id, actor_kind, actor_id, action, subject, request_id, ip)"
            " VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'SYSTEM', '', 'x', '', '', '')"
        )
        await migrate(empty_database.owner_url, LOGIN, NOW)
        await connection.execute(f"SET ROLE {Role.KEEPER}")
        async with connection.transaction():
            await seal(connection)
        counts = await connection.fetch("SELECT chain, row_count FROM seal ORDER BY chain")
    finally:
        await connection.close()
    assert [tuple(row) for row in counts] == [("audit", 1), ("ledger", 100)]


async def test_every_table_belongs_to_the_owner_and_every_tenant_table_is_forced(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.owner_url)
    try:
        rows = await connection.fetch(
            """
            SELECT c.relname, r.rolname AS owner, c.relrowsecurity, c.relforcerowsecurity,
                   EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('org_id', 'user_id')
                           AND NOT a.attisdropped) AS tenant
            FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            """
        )
    finally:
        await connection.close()
    assert len(rows) > 20
    assert {row["relname"] for row in rows if row["owner"] != roles.OWNER} == set()
    open_ones = {row["relname"] for row in rows if row["tenant"] and not row["relforcerowsecurity"]}
    assert open_ones == set(), "tenant tables without forced row level security"


async def test_no_runtime_role_bypasses_row_level_security(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.owner_url)
    try:
        rows = await connection.fetch(
            "SELECT rolname, rolbypassrls, rolsuper FROM pg_roles WHERE rolname = ANY($1)",
            [*Role, roles.OWNER, LOGIN],
        )
    finally:
        await connection.close()
    assert len(rows) == len(Role) + 2
    assert not [row["rolname"] for row in rows if row["rolbypassrls"] or row["rolsuper"]]


async def test_usage_partitions_reach_two_years_ahead(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.owner_url)
    try:
        await partitions.ensure(connection, NOW)
        names = await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'usage_event'::regclass"
        )
    finally:
        await connection.close()
    found = {row["name"] for row in names}
    assert {"usage_event_2026_11", "usage_event_2028_11"} <= found


async def test_a_login_without_rights_gets_the_sql(empty_database: TestDatabase) -> None:
    connection = await asyncpg.connect(empty_database.url)
    try:
        with pytest.raises(roles.RolesMissingError) as caught:
            await roles.ensure(connection, "somebody_else")
    finally:
        await connection.close()
    assert 'CREATE ROLE "somebody_else" LOGIN NOINHERIT' in str(caught.value)
    assert "GRANT" in str(caught.value)


def test_the_login_is_read_from_the_url() -> None:
    assert login_of("postgresql://a%20b@/x?host=/tmp") == "a b"
