"""What calls and sign-ins look up is found by an index, however many rows there are (surface LK17)."""

from __future__ import annotations

import asyncpg

from tests.support.databases import TestDatabase

MANY = """
INSERT INTO organization (id, name, create_time, update_time)
SELECT md5('org' || n)::uuid, 'x', now(), now() FROM generate_series(1, 5000) n;
INSERT INTO app_user (id, email, username, name, create_time, update_time)
SELECT md5('user' || n)::uuid, 'Person' || n || '@example.com', CASE WHEN n % 2 = 0 THEN 'Person' || n END, 'x',
    now(), now() FROM generate_series(1, 5000) n;
INSERT INTO user_password SELECT md5('user' || n)::uuid, 'x', false, NULL, now() FROM generate_series(1, 5000) n;
INSERT INTO membership
SELECT md5('mem' || n)::uuid, md5('org' || n)::uuid, md5('user' || n)::uuid, 'OWNER', now()
FROM generate_series(1, 5000) n;
INSERT INTO session
SELECT md5('ses' || n)::uuid, md5('user' || n)::uuid, md5('org' || n)::uuid, now(), now(), NULL
FROM generate_series(1, 5000) n;
INSERT INTO refresh_token
SELECT sha256(n::text::bytea), md5('ses' || n)::uuid, md5('user' || n)::uuid, now(), now(), NULL
FROM generate_series(1, 5000) n;
INSERT INTO api_key (id, org_id, public_id, digest, name, masked, scopes, create_time, update_time)
SELECT md5('key' || n)::uuid, md5('org' || n)::uuid, 'public' || n, sha256('x'), 'x', 'x', '{chat}', now(), now()
FROM generate_series(1, 5000) n;
"""


LOOKUPS = {
    "lookup_account": "'PERSON4@example.com'",
    "lookup_session": "md5('ses4')::uuid",
    "lookup_refresh_token": "sha256('4')",
    "lookup_key": "'public4'",
}


async def test_no_lookup_reads_a_whole_table(database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute(MANY)
        await owner.execute("ANALYZE")
        plans = {function: await plan_of(owner, function, argument) for function, argument in LOOKUPS.items()}
        found = [len(await owner.fetch(f"SELECT * FROM {name}({argument})")) for name, argument in LOOKUPS.items()]
    finally:
        await owner.close()
    assert found == [1, 1, 1, 1]
    assert [name for name, plan in plans.items() if "Seq Scan" in plan or "Index" not in plan] == []


async def plan_of(owner: asyncpg.Connection, function: str, argument: str) -> str:
    """How the function's own statement would run with this argument."""
    row = await owner.fetchrow("SELECT prosrc, proargnames FROM pg_proc WHERE proname = $1", function)
    assert row is not None
    plan: str = await owner.fetchval(f"EXPLAIN (FORMAT JSON) {row['prosrc'].replace(row['proargnames'][0], argument)}")
    return plan
