"""SQL of usage as limits count it."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

# Requests and tokens of the tenant's buckets in a window, of one key or one model where they are given.
_SUM_BUCKETS: Final = """
SELECT coalesce(sum(requests), 0)::bigint AS requests,
       coalesce(sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens + reasoning_tokens), 0)
           ::bigint AS tokens
FROM usage_bucket
WHERE org_id = $1 AND start_time >= $2 AND start_time < $3
  AND ($4::uuid IS NULL OR key_id = $4) AND ($5::text IS NULL OR model_id = $5)
"""

# The same of one person's calls and those of the keys that they made, which have no buckets of their own. The id bounds
# leave out other months; a call's id is as old as the call.
_SUM_PERSON: Final = """
SELECT count(*) AS requests,
       coalesce(sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens + reasoning_tokens), 0)
           ::bigint AS tokens
FROM usage_event
WHERE org_id = $1 AND create_time >= $2 AND create_time < $3 AND id >= $5 AND id < $6
  AND (user_id = $4 OR key_id IN (SELECT id FROM api_key WHERE org_id = $1 AND creator_user_id = $4))
"""


async def sum_window(
    transaction: Transaction,
    org_id: UUID,
    start: datetime,
    end: datetime,
    key_id: UUID | None,
    user_id: UUID | None,
    model_id: str | None,
) -> asyncpg.Record:
    """(requests, tokens) within the window, of one key, person or model where it is given."""
    if user_id is None:
        row = await transaction.fetchrow(_SUM_BUCKETS, org_id, start, end, key_id, model_id)
    else:
        bounds = (_first_id(start.timestamp() - 60), _first_id(end.timestamp() + 60))
        row = await transaction.fetchrow(_SUM_PERSON, org_id, start, end, user_id, *bounds)
    assert row is not None, "sums answer one row"
    return row


def _first_id(seconds: float) -> UUID:
    """The smallest id of a moment (RFC 9562, section 5.7: it begins with Unix milliseconds)."""
    return UUID(int=int(seconds * 1000) << 80)
