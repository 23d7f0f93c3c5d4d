"""All SQL of usage."""

from __future__ import annotations

from typing import Final

import asyncpg

from server.storage.database import Transaction

# Closes the hold, writes the event, raises the bucket, tells the outbox.
_SETTLE_CALL: Final = """
SELECT * FROM settle_call(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27, $28, $29)
"""


async def settle_call(transaction: Transaction, arguments: tuple[object, ...]) -> asyncpg.Record:
    """(cost, excess, available, transfer) of the call; arguments in the function's order."""
    row = await transaction.fetchrow(_SETTLE_CALL, *arguments)
    assert row is not None, "a function with OUT parameters answers one row"
    return row
