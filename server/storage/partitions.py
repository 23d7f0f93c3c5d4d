"""Monthly partitions of the usage table, whose key begins with the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg

MONTHS_AHEAD: Final = 24


async def ensure(connection: asyncpg.Connection, now: datetime) -> None:
    """Makes the partitions from this month to 24 months ahead. The default partition catches the rest. Repeatable."""
    month = datetime(now.year, now.month, 1, tzinfo=UTC)
    for _ in range(MONTHS_AHEAD + 1):
        following = _next_month(month)
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS usage_event_{month:%Y_%m} PARTITION OF usage_event"
            f" FOR VALUES FROM ('{_first_id(month)}') TO ('{_first_id(following)}')"
        )
        month = following


def _next_month(month: datetime) -> datetime:
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


def _first_id(time: datetime) -> UUID:
    """The smallest id that a UUIDv7 of this moment can have."""
    return UUID(int=int(time.timestamp() * 1000) << 80)
