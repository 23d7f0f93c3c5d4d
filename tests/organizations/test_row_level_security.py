"""Behind the code, the database itself keeps tenants and people apart (guarantee D2)."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from server.foundation import ids
from server.keys.key_ring import KeyWish
from server.storage.database import Role
from tests.support.identity import Identity

TENANT_TABLES = ("organization", "membership", "api_key", "audit_entry")
PERSONAL_TABLES = ("app_user", "user_password", "session", "refresh_token")


async def people(identity: Identity) -> list[tuple[UUID, UUID]]:
    """Two organizations with a person, a session and a key each: their ids and their people's."""
    made = []
    for _ in range(2):
        caller = await identity.principal((await identity.register()).access_token)
        assert caller.user_id is not None
        await identity.ring.issue(caller.org_id, KeyWish())
        made.append((caller.org_id, caller.user_id))
    return made


async def test_without_a_context_there_are_no_rows(identity: Identity) -> None:
    await people(identity)
    async with identity.database.shared() as transaction:
        counts = {table: await count(transaction, table) for table in TENANT_TABLES + PERSONAL_TABLES}
    assert counts == dict.fromkeys(TENANT_TABLES + PERSONAL_TABLES, 0)


async def test_a_tenant_sees_just_its_own_rows(identity: Identity) -> None:
    (mine, me), (theirs, _) = await people(identity)
    async with identity.database.tenant(mine) as transaction:
        assert await count(transaction, "api_key") == 1
        for table in TENANT_TABLES:
            column = "id" if table == "organization" else "org_id"
            rows = await transaction.fetch(f"SELECT {column} AS org_id FROM {table}")
            assert {row["org_id"] for row in rows} == {mine}
            assert await count(transaction, f"{table} WHERE {column} = '{theirs}'") == 0
        assert [row["id"] for row in await transaction.fetch("SELECT id FROM app_user")] == [me], "fellow members"
        assert await count(transaction, "user_password") == 0, "but nothing of their passwords"
        assert await count(transaction, "session") == 0
        assert await count(transaction, "refresh_token") == 0


async def test_a_person_sees_just_the_own_rows(identity: Identity) -> None:
    (_, me), _ = await people(identity)
    async with identity.database.person(me) as transaction:
        for table in PERSONAL_TABLES:
            column = "id" if table == "app_user" else "user_id"
            rows = await transaction.fetch(f"SELECT {column} AS user_id FROM {table}")
            assert {row["user_id"] for row in rows} == {me}
        for table in TENANT_TABLES:
            assert await count(transaction, table) == 0


async def test_no_tenant_writes_into_another(identity: Identity) -> None:
    (mine, me), (theirs, them) = await people(identity)
    statements = (
        f"INSERT INTO membership VALUES ('{ids.uuid7()}', '{theirs}', '{me}', 'OWNER', now())",
        f"""INSERT INTO audit_entry (id, org_id, actor_kind, actor_id, action, subject, request_id, ip)
            VALUES ('{ids.uuid7()}', '{theirs}', 'USER', 'x', 'y', 'z', '', '')""",
        f"INSERT INTO session VALUES ('{ids.uuid7()}', '{them}', '{mine}', now(), now(), NULL)",
        f"INSERT INTO app_user (id, email, name, create_time, update_time) VALUES ('{them}', 'x', 'x', now(), now())",
    )
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with identity.database.registration(mine, me) as transaction:
                await transaction.execute(statement)
    async with identity.database.registration(mine, me) as transaction:
        for table, column, other in (("organization", "id", theirs), ("api_key", "org_id", theirs)):
            done = await transaction.execute(f"UPDATE {table} SET name = 'mine' WHERE {column} = '{other}'")
            assert done == "UPDATE 0"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE app_user SET platform_admin = true",
        "INSERT INTO app_user VALUES (gen_random_uuid(), 'x', 'x', 'x', true, now(), now())",
        "UPDATE organization SET suspended_time = NULL",
        "UPDATE membership SET role = 'OWNER'",
        "UPDATE api_key SET scopes = '{manage}'",
        "UPDATE api_key SET trial = false",
        "UPDATE api_key SET org_id = gen_random_uuid()",
        "UPDATE session SET user_id = gen_random_uuid()",
        "DELETE FROM api_key",
        "DELETE FROM organization",
        "DELETE FROM session",
        "UPDATE signing_key SET retire_time = now()",
        "SELECT * FROM lookup_account('anna@example.com')",
        "SELECT * FROM lookup_key('x')",
    ],
)
async def test_the_application_may_not_even_try(identity: Identity, statement: str) -> None:
    (mine, me), _ = await people(identity)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        async with identity.database.registration(mine, me) as transaction:
            await transaction.execute(statement)


async def test_the_lookup_role_reads_no_table(identity: Identity) -> None:
    for table in (*TENANT_TABLES, *PERSONAL_TABLES, "signing_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with identity.database.statement(Role.LOOKUP) as statement:
                await count(statement, table)


async def test_whoever_reads_all_people_reads_no_digests(identity: Identity) -> None:
    await people(identity)
    for query in ("SELECT digest FROM user_password", "SELECT digest FROM refresh_token", "SELECT * FROM signing_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with identity.database.privileged(Role.PLATFORM) as transaction:
                await transaction.fetch(query)


async def test_interleaved_tenants_never_see_each_other(identity: Identity) -> None:
    made = await people(identity)

    async def own_rows(org_id: UUID) -> set[UUID]:
        async with identity.database.tenant(org_id) as transaction:
            return {row["org_id"] for row in await transaction.fetch("SELECT org_id FROM api_key")}

    wanted = [made[number % 2][0] for number in range(600)]
    seen = await asyncio.gather(*(own_rows(org_id) for org_id in wanted))
    assert seen == [{org_id} for org_id in wanted]


async def count(transaction: object, table: str) -> int:
    fetchval = getattr(transaction, "fetchval")  # noqa: B009 - a connection of any kind
    rows: int = await fetchval(f"SELECT count(*) FROM {table}")
    return rows
