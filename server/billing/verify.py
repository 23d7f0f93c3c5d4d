"""`tollbridge verify`: whether the books are right, and where the first difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from server.billing.checks import CHECKS, Check
from server.billing.seals import CHAINS
from server.storage.database import Database, Role
from server.storage.seal_checks import check_seals, check_waiting

_SECONDS: Final = 3600.0
"""A check reads every row there is."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the checks found."""

    ok: bool
    lines: Sequence[str]
    """A line for each check, for people."""

    @property
    def first_difference(self) -> str | None:
        """The first line that says something is wrong."""
        return next((line for line in self.lines if not line.startswith("ok")), None)


async def verify(database: Database, seconds: float = _SECONDS) -> Report:
    """Runs every check, each on one snapshot, while the server may go on working; the chains of seals piece by piece.

    A check that takes longer than `seconds` counts as failed, and says so. Raises `DatabaseUnavailableError`.
    """
    lines = [_line(check.promise, await _first_difference(database, check, seconds)) for check in CHECKS]
    seals = await check_seals(database, CHAINS)
    lines.append(_line(f"seals are what rows and earlier seals make them ({seals.head})", seals.difference))
    lines.append(_line("nothing waits for its seal longer than a minute", await check_waiting(database, CHAINS)))
    return Report(all(line.startswith("ok") for line in lines), lines)


def _line(promise: str, difference: str | None) -> str:
    return f"ok    {promise}" if difference is None else f"WRONG {promise}: {difference}"


async def _first_difference(database: Database, check: Check, seconds: float) -> str | None:
    async with database.privileged(Role.KEEPER) as transaction:
        try:
            row = await transaction.fetchrow(check.sql, timeout=seconds)
        except TimeoutError:
            return f"not known, the check took longer than {seconds:.0f} s"
        except asyncpg.QueryCanceledError as error:
            return f"not known, the check was ended: {error}"
    if row is None:
        return None
    return f"{row['count']} differ, first {row['place']}: expected {row['expected']}, found {row['found']}"
