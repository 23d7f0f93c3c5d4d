"""All SQL of holds. Each is one statement, and so a transaction of its own: the functions name the organization."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

LOST_RACES: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What PostgreSQL raises when a transaction must be tried again as it was."""

# Reserves the worst case of a call from the first account that covers it. The outcomes stand beside ledger_hold.
_HOLD: Final = "SELECT * FROM ledger_hold($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"

# An open hold, in the shape of ledger_hold's answer. What is available is not looked up again.
_GET_OPEN_HOLD: Final = """
SELECT 'held' AS outcome, h.account_id AS account, h.funding, 0::bigint AS available, coalesce(s.plan_id, '') AS plan
FROM open_hold h LEFT JOIN subscription s ON s.org_id = h.org_id AND s.end_time IS NULL WHERE h.id = $1
"""

# Holds of one process, by expiry, with what their usage event needs.
_LIST_OF_PROCESS: Final = """
SELECT h.*, coalesce(m.provider, '') AS provider
FROM open_hold h LEFT JOIN model m ON m.id = h.model_id
WHERE h.process_id = $1 AND ($2::timestamptz IS NULL OR h.expire_time < $2)
ORDER BY h.expire_time LIMIT $3
"""

# The same for holds by id.
_LIST_BY_ID: Final = """
SELECT h.*, coalesce(m.provider, '') AS provider
FROM open_hold h LEFT JOIN model m ON m.id = h.model_id
WHERE h.id = ANY ($1)
"""


async def hold(transaction: Transaction, seconds: float, *arguments: object) -> asyncpg.Record:
    """Runs ledger_hold; arguments in its order. Raises asyncpg.UniqueViolationError where it was opened before, and
    TimeoutError after `seconds`."""
    row = await transaction.fetchrow(_HOLD, *arguments, timeout=seconds)
    assert row is not None, "a function with OUT parameters answers one row"
    return row


async def get_open_hold(transaction: Transaction, hold_id: UUID) -> asyncpg.Record | None:
    """ledger_hold's answer for the tenant's hold, or None where it is closed or was never opened."""
    row: asyncpg.Record | None = await transaction.fetchrow(_GET_OPEN_HOLD, hold_id)
    return row


async def list_of_process(
    transaction: Transaction, process_id: UUID, expired_before: datetime | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Rows of open_hold with the provider, of all tenants. `expired_before` None: whatever their expiry."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_OF_PROCESS, process_id, expired_before, limit)
    return rows


async def list_by_id(transaction: Transaction, hold_ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
    """The same rows of the holds with these ids, of all tenants; those that are open."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_BY_ID, hold_ids)
    return rows
