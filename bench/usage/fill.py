"""Fills a benchmark's own database with a year of metered calls, as fast as PostgreSQL takes them.

Half of the calls belong to one organization, the rest to all others; each organization has five keys and eight models.
Months are filled as tables of their own and attached when they are full. Buckets are summed from the events, so that
both agree as they do where calls were metered.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from bench.accounts import LIMIT_SECONDS
from bench.child import ProgramFailed
from server.foundation.ids import first_uuid7
from server.storage import partitions
from server.storage.roles import OWNER

SPAN: Final = timedelta(days=365)
KEYS_EACH: Final = 5
MODELS: Final = 8
CONNECTIONS: Final = 2
BYTES_A_ROW: Final = 900
"""On the disk, indexes and buckets included, with some to spare."""
SPARE_BYTES: Final = 2 * 10**9

# Sums follow buckets by triggers; here they are summed at the end instead.
_AS_BULK: Final = f"SET session_replication_role = replica; SET work_mem = '256MB'; SET ROLE {OWNER}"

# Tables of sums while they are filled: their keys are built at the end, and a crash may cost what is in them.
_SUM_TABLES: Final = {
    "usage_bucket": "org_id, start_time, model_id, key_id",
    "usage_half_hour": "org_id, start_time",
    "usage_day": "org_id, start_time, model_id, key_id",
}
_OPEN: Final = "ALTER TABLE {table} DROP CONSTRAINT {table}_pkey; ALTER TABLE {table} SET UNLOGGED"
_CLOSE: Final = "ALTER TABLE {table} ADD PRIMARY KEY ({key})"

# An empty month, outside the table until it is full. It holds no row that matters to anybody: `usage_event` had none.
_NEW_MONTH: Final = """
DROP TABLE IF EXISTS {month};
CREATE UNLOGGED TABLE {month} (LIKE usage_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    CONSTRAINT {month}_bounds CHECK (id >= '{first}' AND id < '{last}'))
"""

# Events number $3 up to $4, `$6` microseconds apart, the first of all at `$5`. Odd numbers belong to the first
# organization, which has one key and one model more than the others, seldom used.
_EVENTS: Final = """
INSERT INTO {month} (id, org_id, key_id, model_id, provider, provider_call_id, request_id, attempt, create_time,
    duration_ms, first_token_ms, streamed, ending, estimated, http_status, input_tokens, cache_read_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, price_version, cost, excess, funding, transfer_id, raw_usage)
SELECT (lpad(to_hex(ms), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
    ($1::uuid[])[place], ($2::uuid[])[CASE WHEN n % 50001 = 0 THEN cardinality($2::uuid[])
                                     ELSE {keys} * (place - 1) + 1 + (mixed >> 20) % {keys} END],
    CASE WHEN n % 70001 = 0 THEN 'seldom' ELSE 'model-' || (mixed >> 16) % {models} END,
    'bench', 'chatcmpl-' || n, 'req_' || n, 1, to_timestamp(ms / 1000.0), 20, 5, false, 'complete', false, 200, 100, 0,
    0, 20, 0, 1, 1000, 0, 'wallet',
    (lpad(to_hex(ms / 60000), 12, '0') || '70009' || lpad(to_hex(place), 15, '0'))::uuid,
    '{{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}}'
FROM (SELECT n, ($5::bigint + n * $6::bigint) / 1000 AS ms, n * 2654435761 % 4294967296 AS mixed,
             CASE WHEN n % 2 = 1 THEN 1 ELSE 2 + n / 2 % (cardinality($1::uuid[]) - 1) END AS place
      FROM generate_series($3::bigint, $4::bigint - 1) n) numbered
"""

# What the table has on each month, and the month in the table.
_ATTACH: Final = """
ALTER TABLE {month} ADD PRIMARY KEY (id);
ALTER TABLE usage_event ATTACH PARTITION {month} FOR VALUES FROM ('{first}') TO ('{last}')
"""

_SUMS: Final = """sum(requests), sum(errors), sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost)"""

# The month's sums, in the order of time, as calls would have added them.
_BUCKETS: Final = """
INSERT INTO usage_bucket (org_id, start_time, model_id, key_id, requests, errors, input_tokens, cache_read_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, cost)
SELECT org_id, date_bin('15 minutes', create_time, '2000-01-01 00:00:00+00'), model_id, key_id, count(*), 0,
       sum(input_tokens), 0, 0, sum(output_tokens), 0, sum(cost)
FROM {month} GROUP BY 1, 2, 3, 4 ORDER BY 2
"""
_HALF_HOURS: Final = f"""
INSERT INTO usage_half_hour
SELECT org_id, date_bin('30 minutes', start_time, '2000-01-01 00:00:00+00'), {_SUMS}
FROM usage_bucket GROUP BY 1, 2 ORDER BY 2
"""  # noqa: S608 - the only thing put in is the constant above
_DAYS: Final = f"""
INSERT INTO usage_day
SELECT org_id, date_trunc('day', start_time, 'UTC'), model_id, key_id, {_SUMS}
FROM usage_bucket GROUP BY 1, 2, 3, 4 ORDER BY 2
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Month:
    """One partition, and the numbers of the calls that fall into it."""

    table: str
    first: UUID
    last: UUID
    """Exclusive."""
    numbers: tuple[int, int]
    """From, and up to without the last."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose calls they are."""

    organizations: Sequence[UUID]
    keys: Sequence[UUID]
    """Five for each organization in their order, then the one that is seldom used."""


def check_disk(folder: Path, rows: int) -> None:
    """Raises ProgramFailed where so many rows would not leave room for others."""
    needed, free = rows * BYTES_A_ROW + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise ProgramFailed(f"{rows:,} usage rows need {needed / 1e9:.0f} GB in {folder}, there are {free / 1e9:.0f}")


@dataclass(frozen=True, slots=True)
class Course:
    """When the calls were: one every `step` microseconds from `begin`, in Unix microseconds."""

    begin: int
    step: int
    rows: int

    def first_at(self, time: datetime) -> int:
        """The number of the first call at `time` or later."""
        return min(max(0, -((self.begin - _microseconds(time)) // self.step)), self.rows)

    def months(self) -> list[Month]:
        """The months that the calls fall into, in order."""
        found: list[Month] = []
        begin = datetime.fromtimestamp(self.begin / 1e6, UTC)
        month = datetime(begin.year, begin.month, 1, tzinfo=UTC)
        while self.first_at(month) < self.rows:
            following = partitions.next_month(month)
            first, last = first_uuid7(month), first_uuid7(following)
            numbers = self.first_at(month), self.first_at(following)
            found.append(Month(f"usage_event_{month:%Y_%m}", first, last, numbers))
            month = following
        return found


def year_before(now: datetime, rows: int) -> Course:
    """`rows` calls, spread evenly over the year before `now`."""
    return Course(_microseconds(now - SPAN), SPAN // timedelta(microseconds=1) // rows, rows)


async def fill(owner_url: str, folder: Path, owners: Owners, rows: int, now: datetime) -> None:
    """Writes `rows` calls of the year before `now`, as a superuser, into a database without any.

    Raises ProgramFailed where there is too little room.
    """
    check_disk(folder, rows)
    course = year_before(now, rows)
    waiting = course.months()

    async def work(connection: asyncpg.Connection) -> None:
        await connection.execute(_AS_BULK)
        while waiting:
            await _fill_month(connection, waiting.pop(), owners, course)

    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(_connected(owner_url)) for _ in range(CONNECTIONS)]
        first, second = connections
        for table in _SUM_TABLES:
            await first.execute(_OPEN.format(table=table))
        await asyncio.gather(*(work(connection) for connection in connections))
        await asyncio.gather(first.execute(_HALF_HOURS), second.execute(_DAYS))
        for table, key in _SUM_TABLES.items():
            await first.execute(_CLOSE.format(table=table, key=key))
        await first.execute("RESET ROLE")
        await first.execute("VACUUM (ANALYZE) usage_event, usage_bucket, usage_half_hour, usage_day")


@asynccontextmanager
async def _connected(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url, command_timeout=LIMIT_SECONDS)
    try:
        yield connection
    finally:
        await connection.close()


async def _fill_month(connection: asyncpg.Connection, month: Month, owners: Owners, course: Course) -> None:
    names = {"month": month.table, "first": month.first, "last": month.last, "keys": KEYS_EACH, "models": MODELS}
    await connection.execute(_NEW_MONTH.format(**names))
    arguments = (list(owners.organizations), list(owners.keys), *month.numbers, course.begin, course.step)
    await connection.execute(_EVENTS.format(**names), *arguments)
    await connection.execute(_ATTACH.format(**names))
    await connection.execute(_BUCKETS.format(**names))


def _microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
