"""All SQL of usage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from server.foundation.windows import Parts
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


_COLUMNS: Final = (
    "requests, errors, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost"
)
_SUMS: Final = """
    coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(errors), 0)::bigint AS errors,
    coalesce(sum(input_tokens), 0)::bigint AS input, coalesce(sum(cache_read_tokens), 0)::bigint AS cache_read,
    coalesce(sum(cache_write_tokens), 0)::bigint AS cache_write,
    coalesce(sum(output_tokens), 0)::bigint AS output, coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning,
    coalesce(sum(cost), 0)::bigint AS cost
"""

# Sums of the tenant in each of the windows, in their order: half hours where they are whole, buckets at both ends.
_SUM_WINDOWS: Final = f"""
SELECT summed.*
FROM unnest($2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[]) WITH ORDINALITY
    AS w (start_time, first_whole, last_whole, end_time, number)
CROSS JOIN LATERAL (
    SELECT {_SUMS} FROM (
        SELECT {_COLUMNS} FROM usage_bucket
        WHERE org_id = $1 AND start_time >= w.start_time AND start_time < w.first_whole
        UNION ALL
        SELECT {_COLUMNS} FROM usage_half_hour
        WHERE org_id = $1 AND start_time >= w.first_whole AND start_time < w.last_whole
        UNION ALL
        SELECT {_COLUMNS} FROM usage_bucket
        WHERE org_id = $1 AND start_time >= w.last_whole AND start_time < w.end_time
    ) parts
) summed
ORDER BY w.number
"""  # noqa: S608 - the only things put in are the constants above

# Sums of the tenant within a span in all, by model (`key_id` is NULL) and by key (`model_id` is NULL), dearest first:
# days in UTC where they are whole, buckets at both ends. The zero id stands for calls of people.
_SUM_GROUPS: Final = f"""
SELECT model_id, key_id, {_SUMS} FROM (
    SELECT model_id, key_id, {_COLUMNS} FROM usage_bucket
    WHERE org_id = $1 AND start_time >= $2 AND start_time < $3
    UNION ALL
    SELECT model_id, key_id, {_COLUMNS} FROM usage_day
    WHERE org_id = $1 AND start_time >= $3 AND start_time < $4
    UNION ALL
    SELECT model_id, key_id, {_COLUMNS} FROM usage_bucket
    WHERE org_id = $1 AND start_time >= $4 AND start_time < $5
) parts
GROUP BY GROUPING SETS ((), (model_id), (key_id)) ORDER BY sum(cost) DESC, model_id, key_id
"""  # noqa: S608

# The tenant's calls, newest first. The id bounds let the planner leave out whole months.
_EVENTS: Final = """
SELECT * FROM usage_event
WHERE org_id = $1 AND id >= $2 AND id < $3
  AND ($4::timestamptz IS NULL OR create_time >= $4) AND ($5::timestamptz IS NULL OR create_time < $5)
"""
_LIST_EVENTS: Final = f"{_EVENTS} ORDER BY id DESC LIMIT $6"

# Those that named a profile, perhaps of one key; without those whose model has the same name, which the next finds.
_LIST_EVENTS_OF_PROFILE: Final = f"""{_EVENTS}
  AND profile = $7 AND profile <> '' AND model_id <> $7 AND ($8::uuid IS NULL OR key_id = $8)
ORDER BY id DESC LIMIT $6
"""

# Those of a key, a model or both within spans of ids, which must not overlap. The limit within keeps the planner from
# reading everything once instead of each span.
_LIST_EVENTS_WITHIN: Final = """
SELECT e.* FROM unnest($2::uuid[], $3::uuid[]) AS span (first_id, last_id)
CROSS JOIN LATERAL (
    SELECT * FROM usage_event
    WHERE org_id = $1 AND id >= span.first_id AND id < span.last_id
      AND ($4::timestamptz IS NULL OR create_time >= $4) AND ($5::timestamptz IS NULL OR create_time < $5)
      AND ($7::text = '' OR model_id = $7) AND ($8::uuid IS NULL OR key_id = $8)
    ORDER BY id DESC LIMIT $6
) e ORDER BY e.id DESC LIMIT $6
"""

# The tenant's newest days that saw a key, a model or both, and how many calls. Each filter has a statement of its own,
# so that it is looked up in the index alone.
_DAYS: Final = """
SELECT start_time, sum(requests)::bigint AS requests FROM usage_day
WHERE org_id = $1 AND start_time >= $2 AND start_time < $3 AND {filters}
GROUP BY start_time ORDER BY start_time DESC LIMIT $4
"""

# The same for the buckets of some days.
_BUCKETS: Final = """
SELECT b.* FROM unnest($2::timestamptz[]) AS day (start_time)
CROSS JOIN LATERAL (
    SELECT start_time, sum(requests)::bigint AS requests FROM usage_bucket
    WHERE org_id = $1 AND start_time >= day.start_time AND start_time < day.start_time + interval '24 hours'
      AND start_time < $3 AND {filters}
    GROUP BY start_time ORDER BY start_time DESC LIMIT $4
) b ORDER BY b.start_time DESC LIMIT $4
"""


def _by_filter(sql: str) -> dict[tuple[bool, bool], str]:
    """The statement by whether a model and whether a key is wanted; at least one is."""
    wanted = {
        (True, False): "model_id = $5",
        (False, True): "key_id = $5",
        (True, True): "model_id = $5 AND key_id = $6",
    }
    return {flags: sql.format(filters=filters) for flags, filters in wanted.items()}


_DAYS_BY_FILTER: Final = _by_filter(_DAYS)
_BUCKETS_BY_FILTER: Final = _by_filter(_BUCKETS)


async def sum_windows(transaction: Transaction, org_id: UUID, parts: Sequence[Parts]) -> Sequence[asyncpg.Record]:
    """One row of sums for each window, in their order; zeros where nothing happened.

    `parts` are cut at whole half hours.
    """
    columns = [list(column) for column in zip(*(part.edges for part in parts), strict=True)] or [[], [], [], []]
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_SUM_WINDOWS, org_id, *columns)
    return rows


async def sum_groups(transaction: Transaction, org_id: UUID, parts: Parts) -> Sequence[asyncpg.Record]:
    """Rows of sums in all, by model and by key, dearest first. `parts` are cut at whole days in UTC."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_SUM_GROUPS, org_id, *parts.edges)
    return rows


async def list_events(transaction: Transaction, *bounds: object) -> Sequence[asyncpg.Record]:
    """Rows of usage_event; bounds: organization, id bounds, time bounds, limit."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_EVENTS, *bounds)
    return rows


async def list_events_of_profile(
    transaction: Transaction, bounds: tuple[object, ...], profile: str, key_id: UUID | None
) -> Sequence[asyncpg.Record]:
    """Those that named a profile and ran on a model of another name; the same bounds."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_EVENTS_OF_PROFILE, *bounds, profile, key_id)
    return rows


async def list_events_within(
    transaction: Transaction, bounds: tuple[object, ...], model: str, key_id: UUID | None
) -> Sequence[asyncpg.Record]:
    """Those of a model (empty: all), a key (None: all) or both within spans of ids.

    Bounds: organization, first ids of the spans, last ids, time bounds, limit.
    """
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_EVENTS_WITHIN, *bounds, model, key_id)
    return rows


async def list_days(
    transaction: Transaction, bounds: tuple[object, ...], model: str, key_id: UUID | None
) -> Sequence[asyncpg.Record]:
    """(start_time, requests) of the newest days in UTC with calls of a model, a key or both.

    Bounds: organization, earliest and latest start, limit.
    """
    sql = _DAYS_BY_FILTER[bool(model), key_id is not None]
    rows: Sequence[asyncpg.Record] = await transaction.fetch(sql, *bounds, *_filters(model, key_id))
    return rows


async def list_buckets(
    transaction: Transaction, bounds: tuple[object, ...], model: str, key_id: UUID | None
) -> Sequence[asyncpg.Record]:
    """The same for buckets. Bounds: organization, starts of the days, latest start, limit."""
    sql = _BUCKETS_BY_FILTER[bool(model), key_id is not None]
    rows: Sequence[asyncpg.Record] = await transaction.fetch(sql, *bounds, *_filters(model, key_id))
    return rows


def _filters(model: str, key_id: UUID | None) -> list[object]:
    return [value for value in (model, key_id) if value]
