"""Facts for the world outside, written in the transaction that makes them true.

Nobody sends them yet; they are kept for a week, so that whoever begins to listen can catch up.
"""

from __future__ import annotations

from typing import Final

from server.storage.database import Transaction

# Named query: outbox_sweep. Rows that are a week old, some at a time, so that no sweep holds many locks for long.
_SWEEP: Final = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE create_time < now() - interval '7 days' ORDER BY create_time LIMIT 100000)
"""


async def sweep(transaction: Transaction) -> None:
    """Deletes rows that are a week old, at most 100,000: once a minute that is 1,600 calls a second."""
    await transaction.execute(_SWEEP)
