"""`tollbridge verify`: whether the books are right, and where the first difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.billing.checks import CHECKS, Check
from server.storage.database import Database, Role, Transaction

_SECONDS: Final = 3600.0
"""A check reads every row there is."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the checks found."""

    ok: bool
    lines: Sequence[str]
    """A line for each check, for people."""


async def verify(database: Database) -> Report:
    """Runs every check, each on one snapshot, while the server may go on working.

    Raises `DatabaseUnavailableError`.
    """
    lines, ok = [], True
    async with database.privileged(Role.KEEPER) as transaction:
        for check in CHECKS:
            difference = await _first_difference(transaction, check)
            ok = ok and difference is None
            lines.append(f"{'ok   ' if difference is None else 'WRONG'} {check.promise}{difference or ''}")
    return Report(ok, lines)


async def _first_difference(transaction: Transaction, check: Check) -> str | None:
    row = await transaction.fetchrow(check.sql, timeout=_SECONDS)
    if row is None:
        return None
    return f": {row['count']} differ, first {row['place']}: expected {row['expected']}, found {row['found']}"
