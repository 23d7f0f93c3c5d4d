"""Organizations with money and keys, as many as asked for, written into a benchmark's own database as its owner.

By SQL, because ten thousand registrations through the API would take half an hour of hashing passwords.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from cli.reach import reach
from server.foundation.ids import uuid7
from server.foundation.secrets import RootSecret
from server.keys.keys import CHAT
from server.keys.secret_format import SecretFormat

ORGANIZATIONS: Final = 200
KEYS: Final = 1_000
"""The mix that the figures are taken with."""
CREDIT: Final = 10**15
"""Nano-dollars that each organization gets: more than any run spends."""
PREFIX: Final = "tb_live_"
LIMIT_SECONDS: Final = 600.0

# Organizations of the given ids and age, on the plan without limits.
_ORGANIZATIONS: Final = """
WITH made AS (
    INSERT INTO organization (id, name, create_time, update_time) SELECT id, 'Bench', $2, $2 FROM unnest($1::uuid[]) id
    RETURNING id)
INSERT INTO subscription (id, org_id, plan_id, plan_version, start_time)
SELECT gen_random_uuid(), id, 'unlimited', 1, $2 FROM made
"""

# Opens the accounts of their books.
_ACCOUNTS: Final = "SELECT count(*) FROM (SELECT ledger_open_accounts(id) FROM unnest($1::uuid[]) id) opened"

# Puts money into the wallet of each.
_CREDIT: Final = """
SELECT count(*) FROM (
    SELECT ledger_single(w.org_id, gen_random_uuid(), i.id, w.id, $2, 'adjustment', '')
    FROM ledger_account w JOIN ledger_account i ON i.org_id = w.org_id AND i.code = 'issuance'
    WHERE w.code = 'wallet' AND w.org_id = ANY ($1::uuid[])) credited
"""

# Keys that nobody has the secrets of, in turn over the organizations.
_IDLE_KEYS: Final = """
INSERT INTO api_key (id, org_id, public_id, digest, name, masked, scopes, create_time, update_time)
SELECT gen_random_uuid(), ($1::uuid[])[1 + n % cardinality($1::uuid[])], left(md5(n::text), 16),
       decode(md5(n::text) || md5('-' || n), 'hex'), 'idle', '…', ARRAY['chat'], now(), now()
FROM generate_series(1, $2::integer) n
"""

_KEY_COLUMNS: Final = ("id", "org_id", "public_id", "digest", "name", "masked", "scopes", "create_time", "update_time")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that works."""

    id: UUID
    org_id: UUID
    secret: str


async def make_organizations(owner: asyncpg.Connection, count: int, create_time: datetime) -> list[UUID]:
    """So many organizations with money."""
    made = [uuid7() for _ in range(count)]
    async with owner.transaction():
        await owner.execute(_ORGANIZATIONS, made, create_time)
        await owner.execute(_ACCOUNTS, made)
        await owner.execute(_CREDIT, made, CREDIT)
    return made


async def make_keys(
    owner: asyncpg.Connection, root: RootSecret, organizations: Sequence[UUID], count: int, now: datetime
) -> list[Key]:
    """So many keys, in turn over the organizations, so that neighbours differ in theirs."""
    pepper, secrets = root.pepper("api-key"), SecretFormat(PREFIX, os.urandom)
    keys: list[Key] = []

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            secret, org_id = secrets.draw(), organizations[number % len(organizations)]
            keys.append(Key(uuid7(), org_id, secret.text))
            digest = pepper.digest(secret.text.encode())
            yield keys[-1].id, org_id, secret.public_id, digest, "bench", secret.masked, [CHAT], now, now

    await owner.copy_records_to_table("api_key", records=rows(), columns=_KEY_COLUMNS)
    return keys


async def make_idle_keys(owner: asyncpg.Connection, organizations: Sequence[UUID], count: int) -> None:
    """So many rows of keys that nobody calls with. Once for each database."""
    await owner.execute(_IDLE_KEYS, list(organizations), count)


@asynccontextmanager
async def owner_of(data_dir: Path) -> AsyncIterator[tuple[asyncpg.Connection, RootSecret]]:
    """A connection that may do everything in a running Tollbridge's database, and its root secret."""
    with reach(data_dir) as found:
        connection = await asyncpg.connect(found.owner_url, command_timeout=LIMIT_SECONDS)
        try:
            yield connection, RootSecret(found.secret_file.read_bytes().strip())
        finally:
            await connection.close()


def make_accounts(data_dir: Path, organizations: int, keys: int) -> list[Key]:
    """So many keys of so many organizations with money, in a running Tollbridge."""

    async def make() -> list[Key]:
        now = datetime.now(UTC)
        async with owner_of(data_dir) as (owner, root):
            return await make_keys(owner, root, await make_organizations(owner, organizations, now), keys, now)

    return asyncio.run(make())
