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
INSERT INTO process (id, host, lock_path, journal, journal_path, start_time, heartbeat_time)
VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT (id) DO UPDATE SET heartbeat_time = excluded.heartbeat_time, seen_time = clock_timestamp()
"""

# One process looks around and takes its place at a time.
_TAKE_TURN: Final = "SELECT pg_advisory_xact_lock(hashtext('tollbridge process starts'))"

# Processes on other hosts that were heard of within so many seconds.
_LIST_ELSEWHERE: Final = """
SELECT id, host FROM process
WHERE host <> $1 AND seen_time > clock_timestamp() - make_interval(secs => $2) ORDER BY host, id
"""

# Removes a process that left no hold, no lease and no call open.
_DELETE_IF_DONE: Final = """
DELETE FROM process
WHERE id = $1 AND NOT EXISTS (SELECT FROM open_hold WHERE process_id = $1)
  AND NOT EXISTS (SELECT FROM spend_lease WHERE process_id = $1)
  AND NOT EXISTS (SELECT FROM open_call WHERE process_id = $1)
RETURNING id
"""

# Whether there is a row.
_EXISTS: Final = "SELECT EXISTS (SELECT FROM process WHERE id = $1)"

# Processes. One `has_lapsed` that keeps its journal here, was silent for so long, and whose leases admit nothing.
_SELECT: Final = """
SELECT p.id, p.host, p.lock_path, p.journal_path, p.heartbeat_time, p.journal,
       p.journal = 'database' AND p.seen_time < clock_timestamp() - make_interval(secs => $2)
       AND NOT EXISTS (SELECT FROM spend_lease l WHERE l.process_id = p.id AND l.expire_time > clock_timestamp())
           AS has_lapsed
FROM process p
"""

# One process.
_GET: Final = _SELECT + "WHERE p.id = $1"

# Every process but one, longest silent first.
_LIST_OTHERS: Final = _SELECT + "WHERE p.id <> $1 ORDER BY p.heartbeat_time"

# Whether a process but one was heard of lately, and has run for a while.
_OTHERS_RUN: Final = """
SELECT EXISTS (SELECT FROM process WHERE id <> $1 AND heartbeat_time > $2 AND start_time < $2)
"""


SILENT_SECONDS: Final = 60.0
"""How long a process was not heard of that is taken for dead without its lock."""


async def insert(transaction: Transaction, process_id: UUID, *arguments: object) -> None:
    """Writes or renews the row: host, path of the lock, kind and path of the journal, time."""
    await transaction.execute(_INSERT, process_id, *arguments)


async def take_turn(transaction: Transaction) -> None:
    """Until the transaction ends nobody else has the turn."""
    await transaction.execute(_TAKE_TURN)


async def list_elsewhere(transaction: Transaction, host: str, seconds: float) -> Sequence[asyncpg.Record]:
    """Rows of (id, host) of processes on other hosts that were heard of within `seconds`."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_ELSEWHERE, host, seconds)
    return rows


async def delete_if_done(transaction: Transaction, process_id: UUID) -> bool:
    """Whether the row was removed, because no hold and no lease of it is open."""
    return await transaction.fetchval(_DELETE_IF_DONE, process_id) is not None


async def exists(transaction: Transaction, process_id: UUID) -> bool:
    """Whether the process has a row."""
    found: bool = await transaction.fetchval(_EXISTS, process_id)
    return found


async def get(transaction: Transaction, process_id: UUID) -> asyncpg.Record | None:
    """The fields of a `ProcessRow`, or None."""
    return await transaction.fetchrow(_GET, process_id, SILENT_SECONDS)


async def list_others(transaction: Transaction, own: UUID) -> Sequence[asyncpg.Record]:
    """The fields of `ProcessRow`s of others, longest silent first."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_OTHERS, own, SILENT_SECONDS)
    return rows


async def others_run(transaction: Transaction, own: UUID, since: datetime) -> bool:
    """Whether another process began before this moment and was heard of after it."""
    found: bool = await transaction.fetchval(_OTHERS_RUN, own, since)
    return found
