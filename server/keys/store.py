"""The SQL of API keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from server.keys.keys import Key
from server.storage.database import Transaction

# A key by the readable part of its secret, in any organization.
LOOKUP_KEY: Final = "SELECT * FROM lookup_key($1)"

# A new key.
INSERT_KEY: Final = """
INSERT INTO api_key (id, org_id, public_id, digest, name, masked, scopes, models, creator_user_id, create_time,
    update_time, expire_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
"""

# One key of the tenant.
GET_KEY: Final = "SELECT * FROM api_key WHERE id = $1"

# The same, held still until the transaction ends.
LOCK_KEY: Final = "SELECT * FROM api_key WHERE id = $1 FOR UPDATE"

# A page of the tenant's keys, newest first (ids grow with time); of one creator where $2 is given.
LIST_KEYS: Final = """
SELECT * FROM api_key
WHERE org_id = $1 AND ($2::uuid IS NULL OR creator_user_id = $2) AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""

# New values of what can be changed.
UPDATE_KEY: Final = """
UPDATE api_key SET name = $2, models = $3, expire_time = $4, revoke_time = $5, update_time = $6, version = version + 1
WHERE id = $1 RETURNING *
"""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key with what checking a secret takes."""

    key: Key
    digest: bytes
    suspended: bool
    """Whether its organization is."""


async def lookup(statement: Transaction, public_id: str) -> KeyRow | None:
    """The key with this readable part, or None. For role `lookup`."""
    row = await statement.fetchrow(LOOKUP_KEY, public_id)
    return None if row is None else KeyRow(_key(row), row["digest"], row["suspended"])


async def insert(transaction: Transaction, key: Key, digest: bytes) -> None:
    """A new key."""
    await transaction.execute(
        INSERT_KEY,
        key.id,
        key.org_id,
        key.public_id,
        digest,
        key.name,
        key.masked,
        key.scopes,
        key.models,
        key.creator_user_id,
        key.create_time,
        key.expire_time,
    )


async def get(transaction: Transaction, key_id: UUID) -> Key | None:
    """One key of the tenant, or None."""
    row = await transaction.fetchrow(GET_KEY, key_id)
    return None if row is None else _key(row)


async def lock(transaction: Transaction, key_id: UUID) -> Key | None:
    """The same, locked for an update."""
    row = await transaction.fetchrow(LOCK_KEY, key_id)
    return None if row is None else _key(row)


async def list_page(
    transaction: Transaction, org_id: UUID, creator: UUID | None, before: UUID | None, limit: int
) -> list[Key]:
    """Keys whose ids come before `before`, newest first; only the creator's where one is given."""
    return [_key(row) for row in await transaction.fetch(LIST_KEYS, org_id, creator, before, limit)]


async def update(transaction: Transaction, key: Key) -> Key:
    """Writes name, models, expiry and revocation, and answers the new version."""
    values = (key.name, key.models, key.expire_time, key.revoke_time, key.update_time)
    row = await transaction.fetchrow(UPDATE_KEY, key.id, *values)
    assert row is not None, "the row is locked by this transaction"
    return _key(row)


def _key(row: asyncpg.Record) -> Key:
    return Key(
        id=row["id"],
        org_id=row["org_id"],
        public_id=row["public_id"],
        name=row["name"],
        masked=row["masked"],
        scopes=tuple(row["scopes"]),
        models=tuple(row["models"]),
        creator_user_id=row["creator_user_id"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
        version=row["version"],
    )
