"""Histories of one key, model or profile without an index on events for each: buckets tell when there was something.

Newest first, days are looked up, then their buckets, until they hold a page of calls. Only then events are read, and
only those of these quarters of an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from server.billing.spans import Span
from server.foundation.ids import first_uuid7
from server.foundation.windows import BUCKET, DAY
from server.storage.database import Transaction
from server.usage import store

SLACK: Final = timedelta(minutes=1)
"""How far the time in a call's id and its time of admission may be apart: they are drawn one after the other."""
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = timedelta(days=365 * 8000)


@dataclass(frozen=True, slots=True)
class Page:
    """Which calls of an organization are wanted, and how many."""

    org_id: UUID
    first: UUID
    """Ids from here."""
    last: UUID
    """Ids below this."""
    span: Span
    limit: int

    @property
    def bounds(self) -> tuple[object, ...]:
        """As statements over all events want them."""
        return self.org_id, self.first, self.last, *self.span, self.limit


async def load(transaction: Transaction, page: Page, model: str, key_id: UUID | None) -> list[asyncpg.Record]:
    """Rows of usage_event, newest first: of a model or profile (empty: all), of a key (None: all), of both."""
    rows = list(await _load_by_buckets(transaction, page, model, key_id))
    if model:
        rows += await store.list_events_of_profile(transaction, page.bounds, model, key_id)
        rows.sort(key=_id, reverse=True)
    return rows[: page.limit]


async def _load_by_buckets(
    transaction: Transaction, page: Page, model: str, key_id: UUID | None
) -> Sequence[asyncpg.Record]:
    begin, end = _time(page.first) - SLACK - DAY, _time(page.last) + SLACK
    # What begins later may be partly before this page, and counts for nothing. One more, see `enough`.
    whole = _time(page.last) - SLACK
    most = page.limit + 4
    days = enough(
        await store.list_days(transaction, (page.org_id, begin, end, most), model, key_id), whole - DAY, page.limit
    )
    buckets = enough(
        await store.list_buckets(transaction, (page.org_id, days, end, most), model, key_id),
        whole - BUCKET,
        page.limit,
    )
    if not buckets:
        return []
    firsts, lasts = zip(*spans(buckets, page.first, page.last), strict=True)
    bounds = (page.org_id, list(firsts), list(lasts), *page.span, page.limit)
    return await store.list_events_within(transaction, bounds, model, key_id)


def enough(rows: Iterable[asyncpg.Record], whole_until: datetime, limit: int) -> list[datetime]:
    """Starts, newest first, of as many as hold `limit` calls, and one more: a call's id may tell a moment later than
    its time, so that the last of one belongs before the first of the next. Those that start after `whole_until` count
    for nothing."""
    found: list[datetime] = []
    calls = 0
    for row in rows:
        found.append(row["start_time"])
        if calls >= limit:
            break
        calls += row["requests"] if row["start_time"] <= whole_until else 0
    return found


def spans(buckets: Sequence[datetime], first: UUID, last: UUID) -> list[tuple[UUID, UUID]]:
    """Spans of ids in which calls of the buckets, which come newest first, may lie: within the bounds, none empty,
    none over another."""
    found: list[tuple[UUID, UUID]] = []
    for start in buckets:
        begin, end = max(first_uuid7(start, -SLACK), first), min(first_uuid7(start, BUCKET + SLACK), last)
        if begin >= end:
            continue
        if found and end >= found[-1][0]:
            found[-1] = begin, found[-1][1]
        else:
            found.append((begin, end))
    return found


def _id(row: asyncpg.Record) -> UUID:
    identifier: UUID = row["id"]
    return identifier


def _time(identifier: UUID) -> datetime:
    """The time in a UUIDv7, away from the ends of what datetimes can say."""
    return _UNIX + min(timedelta(milliseconds=identifier.int >> 80), _LATEST)
