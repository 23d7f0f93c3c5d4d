"""All SQL of charges that are taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

# Writes a run down.
_INSERT: Final = """
INSERT INTO call_reversal (usage_event_id, org_id, process_id) VALUES ($1, $2, $3)
"""

# Runs that were settled, or that nobody will settle any more: their process was buried, and its journal with it.
_LIST_DUE: Final = """
SELECT r.org_id, r.usage_event_id FROM call_reversal r
WHERE EXISTS (SELECT FROM usage_event e WHERE e.id = r.usage_event_id)
   OR NOT EXISTS (SELECT FROM process p WHERE p.id = r.process_id)
ORDER BY r.create_time LIMIT 500
"""

# Takes one charge back, and strikes it off the list.
_REVERSE: Final = "SELECT ledger_reverse_call($1, $2, $3, $4)"


async def insert(transaction: Transaction, run_id: UUID, org_id: UUID, process_id: UUID) -> None:
    """Writes a run down, of the transaction's organization."""
    await transaction.execute(_INSERT, run_id, org_id, process_id)


async def list_due(transaction: Transaction) -> Sequence[asyncpg.Record]:
    """Rows of (org_id, usage_event_id), oldest first, at most 500. For role `keeper`."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_DUE)
    return rows


async def reverse(
    statement: Transaction, org_id: UUID, call_id: UUID, paid: Sequence[UUID], ids: Sequence[UUID]
) -> int:
    """How much was given back, in nano-dollars; 0 for what was free, or struck off before."""
    amount: int = await statement.fetchval(_REVERSE, org_id, call_id, list(paid), list(ids))
    return amount
