"""Facts for the world outside, written in the transaction that makes them true.

Nobody sends them yet; they are kept for a week, so that whoever begins to listen can catch up.
"""

from __future__ import annotations

from typing import Final

from server.storage.database import Database, Role

# Named query: outbox_sweep. Rows that are a week old, some at a time, so that no sweep holds many locks.
_SWEEP: Final = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE create_time < now() - interval '7 days' ORDER BY create_time LIMIT 5000)
"""


async def sweep(database: Database) -> None:
    """Deletes rows that are a week old, at most 5,000."""
    async with database.privileged(Role.KEEPER) as transaction:
        await transaction.execute(_SWEEP)
