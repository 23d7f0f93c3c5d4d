"""All SQL of calls under way that are remembered in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

# Writes new calls, how far calls came, and takes away those that are settled.
_NOTE: Final = "SELECT note_open_calls($1, $2, $3, $4, $5, $6, $7, $8)"

# What a process remembered, in the order in which the calls began.
_LIST_OF_PROCESS: Final = "SELECT id, record, output, reasoning FROM open_call WHERE process_id = $1 ORDER BY id"

# Takes away what a dead process remembered, once it is settled.
_DELETE: Final = "DELETE FROM open_call WHERE id = ANY ($1)"


async def note(
    transaction: Transaction,
    process_id: UUID,
    new: Sequence[tuple[UUID, UUID, bytes]],
    progress: Sequence[tuple[UUID, int, int]],
    over: Sequence[UUID],
) -> None:
    """`new`: call, organization, record; `progress`: call, output, reasoning tokens; `over`: settled calls."""
    news = list(zip(*new, strict=True)) or [(), (), ()]
    progresses = list(zip(*progress, strict=True)) or [(), (), ()]
    await transaction.execute(_NOTE, process_id, *news, *progresses, over)


async def list_of_process(transaction: Transaction, process_id: UUID) -> Sequence[asyncpg.Record]:
    """Rows of (id, record, output, reasoning), in a transaction of the keeper."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_OF_PROCESS, process_id)
    return rows


async def delete(transaction: Transaction, calls: Sequence[UUID]) -> None:
    """Takes these calls away, in a transaction of the keeper."""
    await transaction.execute(_DELETE, calls)
