"""All SQL of usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.foundation.windows import Window
from server.storage.database import Transaction

# Closes the hold, writes the event, raises the bucket, tells the outbox.
_SETTLE_CALL: Final = """
SELECT * FROM settle_call(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27, $28, $29)
"""

# The same for a call that named a profile, which comes last.
_SETTLE_PROFILE_CALL: Final = """
SELECT * FROM settle_profile_call(
    $30, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29)
"""


async def settle_call(transaction: Transaction, arguments: tuple[object, ...], profile: str = "") -> asyncpg.Record:
    """(cost, excess, available, transfer) of the call; arguments in the function's order. `profile` may be empty."""
    if profile:
        row = await transaction.fetchrow(_SETTLE_PROFILE_CALL, *arguments, profile)
    else:
        row = await transaction.fetchrow(_SETTLE_CALL, *arguments)
    assert row is not None, "a function with OUT parameters answers one row"
    return row


_SUMS: Final = """
    coalesce(sum(b.requests), 0)::bigint AS requests, coalesce(sum(b.errors), 0)::bigint AS errors,
    coalesce(sum(b.input_tokens), 0)::bigint AS input, coalesce(sum(b.cache_read_tokens), 0)::bigint AS cache_read,
    coalesce(sum(b.cache_write_tokens), 0)::bigint AS cache_write,
    coalesce(sum(b.output_tokens), 0)::bigint AS output, coalesce(sum(b.reasoning_tokens), 0)::bigint AS reasoning,
    coalesce(sum(b.cost), 0)::bigint AS cost
"""

# Sums of the tenant's buckets in each of the windows, in their order.
_SUM_WINDOWS: Final = f"""
SELECT {_SUMS}
FROM unnest($2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS w (start_time, end_time, number)
LEFT JOIN usage_bucket b ON b.org_id = $1 AND b.start_time >= w.start_time AND b.start_time < w.end_time
GROUP BY w.number ORDER BY w.number
"""  # noqa: S608 - the only thing put in is the constant above

# Sums of the tenant's buckets within a span by model, dearest first.
_SUM_BY_MODEL: Final = f"""
SELECT b.model_id AS name, {_SUMS} FROM usage_bucket b
WHERE b.org_id = $1 AND b.start_time >= $2 AND b.start_time < $3
GROUP BY b.model_id ORDER BY sum(b.cost) DESC, b.model_id
"""  # noqa: S608

# The same by key; the zero id stands for calls of people.
_SUM_BY_KEY: Final = f"""
SELECT b.key_id AS name, {_SUMS} FROM usage_bucket b
WHERE b.org_id = $1 AND b.start_time >= $2 AND b.start_time < $3
GROUP BY b.key_id ORDER BY sum(b.cost) DESC, b.key_id
"""  # noqa: S608

# The tenant's calls, newest first, after a given id. The id bounds let the planner leave out whole months.
_LIST_EVENTS: Final = """
SELECT * FROM usage_event
WHERE org_id = $1 AND id >= $2 AND id < $3
  AND ($4::timestamptz IS NULL OR create_time >= $4) AND ($5::timestamptz IS NULL OR create_time < $5)
  AND ($6::text = '' OR model_id = $6 OR profile = $6) AND ($7::uuid IS NULL OR key_id = $7)
ORDER BY id DESC LIMIT $8
"""


async def sum_windows(transaction: Transaction, org_id: UUID, windows: Sequence[Window]) -> Sequence[asyncpg.Record]:
    """One row of sums for each window, in their order; zeros where nothing happened."""
    starts, ends = [window.start for window in windows], [window.end for window in windows]
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_SUM_WINDOWS, org_id, starts, ends)
    return rows


async def sum_by_model(
    transaction: Transaction, org_id: UUID, start: datetime, end: datetime
) -> Sequence[asyncpg.Record]:
    """One row of sums for each model, under `name`."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_SUM_BY_MODEL, org_id, start, end)
    return rows


async def sum_by_key(
    transaction: Transaction, org_id: UUID, start: datetime, end: datetime
) -> Sequence[asyncpg.Record]:
    """One row of sums for each key, under `name`."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_SUM_BY_KEY, org_id, start, end)
    return rows


async def list_events(transaction: Transaction, *arguments: object) -> Sequence[asyncpg.Record]:
    """Rows of usage_event; arguments: organization, id bounds, time bounds, model, key, limit."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_EVENTS, *arguments)
    return rows
