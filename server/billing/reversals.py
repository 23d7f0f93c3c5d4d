"""Taking charges back: of runs that were given up, because a retry of the same call is charged instead.

A run is written down where its claim passes to the retry. What it was charged may come to light later, when its
process's journal is replayed; until then the line stays.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import structlog

from server.billing import reversal_store, transfer_ids
from server.storage.database import Database, Role, Transaction

LOOK_SECONDS: Final = 5.0
"""How often what was written down is looked at."""

_log = structlog.get_logger("billing")


async def give_up(transaction: Transaction, org_id: UUID, run_id: UUID, process_id: UUID) -> None:
    """Writes down that a run's charge is to be taken back. In a transaction of the organization."""
    await reversal_store.insert(transaction, run_id, org_id, process_id)


class Reversals:
    """Takes back what was written down. Any number of processes may: each charge is taken back once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle(self) -> int:
        """Takes back what is settled by now, and forgets runs that were never charged. Answers the sum, in
        nano-dollars. Raises `DatabaseUnavailableError`."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            rows = await reversal_store.list_due(transaction)
        return sum([await self._reverse(row["org_id"], row["usage_event_id"]) for row in rows])

    async def _reverse(self, org_id: UUID, call_id: UUID) -> int:
        paid = [transfer_ids.close_id(org_id, call_id), transfer_ids.spill_id(org_id, call_id)]
        ids = [transfer_ids.reversal_id(org_id, call_id, number) for number in (1, 2)]
        async with self._database.statement(Role.KEEPER) as statement:
            amount = await reversal_store.reverse(statement, org_id, call_id, paid, ids)
        _log.info("a charge was taken back", org=str(org_id), call=str(call_id), amount_nano=amount)
        return amount
