"""Cached entries that changed elsewhere: told through a table, hastened by pub/sub.

A process polls the table every 500 ms, so that a change reaches it even with the bus down; a published message only
makes it poll at once. Entries are also never older than five seconds (`server.rpc.cache`), whatever happens here.
"""

from __future__ import annotations

from server.storage.database import Transaction


async def announce(transaction: Transaction, kind: str, subject: str) -> None:
    """Says, in the transaction that changes it, that cached entries of this kind and subject are stale."""
    # Named query: invalidation_announce. One row for each changed thing, read by every process.
    await transaction.execute("INSERT INTO invalidation (kind, subject) VALUES ($1, $2)", kind, subject)
