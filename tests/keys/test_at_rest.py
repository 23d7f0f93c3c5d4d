"""Nothing in the database opens anything: no secret, token or password lies there readable (guarantee D6)."""

from __future__ import annotations

import asyncpg

from server.auth.registrar import AccountWish
from tests.support.databases import TestDatabase
from tests.support.identity import PASSWORD, Identity, public_call
from tollbridge.auth.v1 import auth_service_pb2 as auth
from tollbridge.keys.v1 import key_service_pb2

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


async def all_rows(database: TestDatabase) -> str:
    """Every row of every table, as text; bytes in hexadecimal digits."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        names = [row["relname"] for row in await connection.fetch(TABLES)]
        tables = [await connection.fetchval(f"SELECT string_agg(t::text, ' ') FROM {name} t") for name in names]
    finally:
        await connection.close()
    return "\n".join(table or "" for table in tables)


async def test_no_secret_lies_in_any_table(identity: Identity, database: TestDatabase) -> None:
    owner = await identity.register(email="anna@example.com")
    context = await identity.as_caller(owner.access_token)
    made = await identity.keys.create_key(key_service_pb2.CreateKeyRequest(name="canary"), context)
    refreshed = await identity.auth.refresh(
        auth.RefreshRequest(refresh_token=owner.refresh_token), public_call("Refresh")
    )
    admin = await identity.administration.create_admin(AccountWish("root@example.com"))
    private_key = identity.signing_keys.current().private_key.private_bytes_raw()
    content = await all_rows(database)
    assert "canary" in content, "the tables were read"
    assert made.secret[8:24] in content, "the readable part is there"
    hidden = [
        PASSWORD,
        made.secret,
        made.secret[24:32],
        owner.refresh_token,
        owner.refresh_token.removeprefix("tbr_"),
        refreshed.refresh_token,
        owner.access_token,
        admin.one_time_password,
        private_key.hex(),
    ]
    assert [text for text in hidden if text.lower() in content.lower()] == []
    assert [text for text in hidden if text.encode().hex() in content] == []
