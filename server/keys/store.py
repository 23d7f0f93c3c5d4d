"""The SQL of API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.foundation import networks
from server.foundation.bounds import Bounds
from server.keys.keys import Key, PreviousSecret
from server.storage.database import Transaction

# Keys by the readable parts of their secrets, in any organization.
LOOKUP_KEYS: Final = "SELECT * FROM unnest($1::text[]) AS wanted, LATERAL lookup_key(wanted)"

# A new key.
INSERT_KEY: Final = """
INSERT INTO api_key (id, org_id, public_id, digest, name, masked, scopes, models, creator_user_id, create_time,
    update_time, expire_time, cidrs, personal, trial, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14, $15)
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
UPDATE api_key SET name = $2, models = $3, expire_time = $4, revoke_time = $5, update_time = $6, cidrs = $7,
    limits = $8, version = version + 1
WHERE id = $1 RETURNING *
"""

# A person's own key, held still until the transaction ends.
LOCK_PERSONAL_KEY: Final = """
SELECT * FROM api_key WHERE org_id = $1 AND creator_user_id = $2 AND personal AND revoke_time IS NULL FOR UPDATE
"""

# A new secret; the one before it works until $5.
ROTATE_KEY: Final = """
UPDATE api_key SET previous_public_id = public_id, previous_digest = digest, previous_masked = masked,
    previous_expire_time = $5, public_id = $2, digest = $3, masked = $4, update_time = $6, version = version + 1
WHERE id = $1 RETURNING *
"""

# When keys were last used, for many at once. For role `keeper`. Rows are locked in one order, so that two processes
# that write the same keys wait for each other instead of for good.
NOTE_USES: Final = """
WITH held AS (
    SELECT k.id, used.time FROM api_key k JOIN unnest($1::uuid[], $2::timestamptz[]) AS used (id, time) USING (id)
    WHERE k.last_used_time IS NULL OR k.last_used_time < used.time
    ORDER BY k.id FOR NO KEY UPDATE OF k)
UPDATE api_key SET last_used_time = held.time FROM held WHERE api_key.id = held.id
"""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key with what checking a secret takes."""

    key: Key
    digest: bytes
    """Of the secret with the readable part that was asked for."""
    secret_expire_time: datetime | None
    """When that secret stops working, though the key may go on; None: never."""
    suspended: bool
    """Whether its organization is."""


async def lookup(statement: Transaction, public_ids: Sequence[str]) -> dict[str, KeyRow]:
    """The keys with these readable parts, as far as there are any. For role `lookup`."""
    rows = await statement.fetch(LOOKUP_KEYS, public_ids)
    return {row["wanted"]: _looked_up(row) for row in rows}


def _looked_up(row: asyncpg.Record) -> KeyRow:
    if row["public_id"] == row["wanted"]:
        return KeyRow(_key(row), row["digest"], None, row["suspended"])
    return KeyRow(_key(row), row["previous_digest"], row["previous_expire_time"], row["suspended"])


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
        _texts(key),
        key.personal,
        key.trial,
        key.limits.to_text(),
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
    """Writes name, models, networks, limits, expiry and revocation, and answers the new version."""
    times = (key.expire_time, key.revoke_time, key.update_time)
    values = (key.name, key.models, *times, _texts(key), key.limits.to_text())
    row = await transaction.fetchrow(UPDATE_KEY, key.id, *values)
    assert row is not None, "the row is locked by this transaction"
    return _key(row)


async def lock_personal(transaction: Transaction, org_id: UUID, user_id: UUID) -> Key | None:
    """The person's own key in the organization, locked, or None."""
    row = await transaction.fetchrow(LOCK_PERSONAL_KEY, org_id, user_id)
    return None if row is None else _key(row)


async def rotate(
    transaction: Transaction,
    key_id: UUID,
    public_id: str,
    digest: bytes,
    masked: str,
    previous_expire_time: datetime,
    now: datetime,
) -> Key:
    """Gives a key that this transaction has locked another secret; answers the new version."""
    row = await transaction.fetchrow(ROTATE_KEY, key_id, public_id, digest, masked, previous_expire_time, now)
    assert row is not None, "the row is locked by this transaction"
    return _key(row)


async def note_uses(transaction: Transaction, key_ids: Sequence[UUID], times: Sequence[datetime]) -> None:
    """Writes when keys were last used; a later time that is there stays. For role `keeper`."""
    await transaction.execute(NOTE_USES, key_ids, times)


def _texts(key: Key) -> list[str]:
    return [str(network) for network in key.networks.networks]


def _previous(row: asyncpg.Record) -> PreviousSecret | None:
    if row["previous_public_id"] is None:
        return None
    return PreviousSecret(row["previous_public_id"], row["previous_masked"], row["previous_expire_time"])


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
        networks=networks.parse(row["cidrs"]),
        previous=_previous(row),
        last_used_time=row["last_used_time"],
        personal=row["personal"],
        trial=row["trial"],
        limits=Bounds.from_text(row["limits"]),
    )
