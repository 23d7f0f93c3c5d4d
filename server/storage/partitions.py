"""Monthly partitions of the usage table, whose key begins with the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import asyncpg

from server.foundation import ids

MONTHS_AHEAD: Final = 24


async def ensure(connection: asyncpg.Connection, now: datetime) -> None:
    """Makes the partitions from this month to 24 months ahead. The default partition catches the rest. Repeatable."""
    month = datetime(now.year, now.month, 1, tzinfo=UTC)
    for _ in range(MONTHS_AHEAD + 1):
        following = next_month(month)
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS usage_event_{month:%Y_%m} PARTITION OF usage_event"
            f" FOR VALUES FROM ('{ids.first_uuid7(month)}') TO ('{ids.first_uuid7(following)}')"
        )
        month = following


def next_month(month: datetime) -> datetime:
    """The first moment of the month after the one that begins at `month`."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
