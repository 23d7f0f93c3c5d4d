"""All SQL of spend leases. A change is one statement, and so a transaction of its own: it names the organization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from server.billing import transfer_ids
from server.storage.database import Transaction

EVERYTHING: Final = -(2**62)
"""A change that leaves nothing of a lease."""

# Reserves money for many calls. No amount where a hold for each call is right.
_OPEN: Final = "SELECT * FROM ledger_lease_open($1, $2, $3, $4, $5, $6, $7, $8)"

# Grows, shrinks or ends a lease.
_RESIZE: Final = "SELECT * FROM ledger_lease_resize($1, $2, $3, $4, $5, $6)"

# Gives back what a lease has beyond what its holder knows of.
_TRIM: Final = "SELECT ledger_lease_trim($1, $2, $3, $4, $5) AS beyond"

# Ends a lease whose time is over, whoever holds it.
_LAPSE: Final = "SELECT ledger_lease_lapse($1, $2, $3)"

# Leases of one process, oldest first, and how old they are by the clock that they were opened by.
_LIST_OF_PROCESS: Final = """
SELECT id, org_id, now() - create_time AS age FROM spend_lease WHERE process_id = $1 ORDER BY create_time
"""

# Every lease with its holder, oldest first.
_LIST_ALL: Final = """
SELECT l.id, l.org_id, l.process_id, coalesce(p.host, '') AS host, p.heartbeat_time, l.funding, l.model_id, l.amount,
       l.drawn, l.expire_time
FROM spend_lease l LEFT JOIN process p ON p.id = l.process_id
ORDER BY l.create_time, l.id
"""


async def open_lease(transaction: Transaction, timeout: float, *arguments: object) -> asyncpg.Record:
    """Runs ledger_lease_open; arguments in its order. Raises TimeoutError after `timeout` seconds."""
    row = await transaction.fetchrow(_OPEN, *arguments, timeout=timeout)
    assert row is not None, "a function with OUT parameters answers one row"
    return row


async def resize(transaction: Transaction, timeout: float, *arguments: object) -> asyncpg.Record:
    """Runs ledger_lease_resize; arguments in its order. Raises TimeoutError after `timeout` seconds."""
    row = await transaction.fetchrow(_RESIZE, *arguments, timeout=timeout)
    assert row is not None, "a function with OUT parameters answers one row"
    return row


async def trim(transaction: Transaction, timeout: float, *arguments: object) -> asyncpg.Record:
    """Runs ledger_lease_trim; arguments in its order. Raises TimeoutError after `timeout` seconds."""
    row = await transaction.fetchrow(_TRIM, *arguments, timeout=timeout)
    assert row is not None, "a function answers one row"
    return row


async def close(transaction: Transaction, org_id: UUID, lease_id: UUID) -> None:
    """Ends a lease and gives back all that is left of it."""
    void = transfer_ids.lease_id(org_id, lease_id, "void")
    await transaction.fetchrow(_RESIZE, org_id, lease_id, void, void, EVERYTHING, 0.0)


async def lapse(transaction: Transaction, org_id: UUID, lease_id: UUID) -> None:
    """Ends a lease that admits nothing any more, as `close`; one that was renewed stays."""
    await transaction.execute(_LAPSE, org_id, lease_id, transfer_ids.lease_id(org_id, lease_id, "void"))


async def list_of_process(transaction: Transaction, process_id: UUID) -> Sequence[asyncpg.Record]:
    """Rows of (id, org_id, age), in a transaction of the keeper."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_OF_PROCESS, process_id)
    return rows


async def list_all(transaction: Transaction) -> Sequence[asyncpg.Record]:
    """Every lease, in a transaction of the keeper."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_ALL)
    return rows
