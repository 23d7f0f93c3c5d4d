"""The SQL of nightly runs of verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from server.storage.database import Transaction


@dataclass(frozen=True, slots=True)
class Run:
    """A run that ended."""

    night: date
    begin_time: datetime
    end_time: datetime
    ok: bool
    lines: Sequence[str]
    """As `tollbridge verify` prints them."""


# Takes a night for the caller, once; or again where whoever took it has not ended it since long ago.
BEGIN: Final = """
INSERT INTO verify_run AS r (night, begin_time) VALUES ($1, $2)
ON CONFLICT (night) DO UPDATE SET begin_time = excluded.begin_time WHERE r.end_time IS NULL AND r.begin_time < $3
RETURNING true
"""

# Writes down what a night's run found.
END: Final = "UPDATE verify_run SET end_time = $2, ok = $3, lines = $4 WHERE night = $1"

# The last run that ended.
LAST: Final = """
SELECT night, begin_time, end_time, ok, lines FROM verify_run WHERE end_time IS NOT NULL ORDER BY night DESC LIMIT 1
"""


async def begin(transaction: Transaction, night: date, now: datetime, dead_before: datetime) -> bool:
    """Takes a night's run; False where it was taken already, unless it was begun before `dead_before` and not ended."""
    return bool(await transaction.fetchval(BEGIN, night, now, dead_before))


async def end(transaction: Transaction, night: date, now: datetime, ok: bool, lines: Sequence[str]) -> None:
    """Writes down what a night's run found."""
    await transaction.execute(END, night, now, ok, list(lines))


async def last(transaction: Transaction) -> Run | None:
    """The last run that ended."""
    row = await transaction.fetchrow(LAST)
    return None if row is None else Run(*row)
