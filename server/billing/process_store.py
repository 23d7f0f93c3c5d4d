"""All SQL of processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

# Says that a process lives.
_INSERT: Final = """
INSERT INTO process (id, host, lock_path, journal_path, start_time, heartbeat_time) VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (id) DO UPDATE SET heartbeat_time = excluded.heartbeat_time
"""

# Removes a process that left no hold and no lease open.
_DELETE_IF_DONE: Final = """
DELETE FROM process
WHERE id = $1 AND NOT EXISTS (SELECT FROM open_hold WHERE process_id = $1)
  AND NOT EXISTS (SELECT FROM spend_lease WHERE process_id = $1)
RETURNING id
"""

# Whether there is a row.
_EXISTS: Final = "SELECT EXISTS (SELECT FROM process WHERE id = $1)"

# One process.
_GET: Final = "SELECT id, host, lock_path, journal_path, heartbeat_time FROM process WHERE id = $1"

# Every process but one, longest silent first.
_LIST_OTHERS: Final = """
SELECT id, host, lock_path, journal_path, heartbeat_time FROM process WHERE id <> $1 ORDER BY heartbeat_time
"""

# Whether a process but one was heard of lately, and has run for a while.
_OTHERS_RUN: Final = """
SELECT EXISTS (SELECT FROM process WHERE id <> $1 AND heartbeat_time > $2 AND start_time < $2)
"""


async def insert(
    transaction: Transaction, process_id: UUID, host: str, lock_path: str, journal_path: str, now: datetime
) -> None:
    """Writes or renews the row."""
    await transaction.execute(_INSERT, process_id, host, lock_path, journal_path, now)


async def delete_if_done(transaction: Transaction, process_id: UUID) -> bool:
    """Whether the row was removed, because no hold and no lease of it is open."""
    return await transaction.fetchval(_DELETE_IF_DONE, process_id) is not None


async def exists(transaction: Transaction, process_id: UUID) -> bool:
    """Whether the process has a row."""
    found: bool = await transaction.fetchval(_EXISTS, process_id)
    return found


async def get(transaction: Transaction, process_id: UUID) -> asyncpg.Record | None:
    """Row of (id, host, lock_path, journal_path, heartbeat_time), or None."""
    return await transaction.fetchrow(_GET, process_id)


async def list_others(transaction: Transaction, own: UUID) -> Sequence[asyncpg.Record]:
    """Rows of (id, host, lock_path, journal_path, heartbeat_time) of others, longest silent first."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_OTHERS, own)
    return rows


async def others_run(transaction: Transaction, own: UUID, since: datetime) -> bool:
    """Whether another process began before this moment and was heard of after it."""
    found: bool = await transaction.fetchval(_OTHERS_RUN, own, since)
    return found
