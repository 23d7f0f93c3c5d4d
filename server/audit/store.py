"""The SQL of audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.storage.database import Transaction


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, as it is written; the database adds the time."""

    id: UUID
    org_id: UUID
    actor_kind: str
    """USER, API_KEY or SYSTEM."""
    actor_id: str
    """`user_…` or `key_…`; empty for SYSTEM."""
    action: str
    subject: str
    request_id: str
    ip: str


# Writes one entry.
INSERT_ENTRY: Final = """
INSERT INTO audit_entry (id, org_id, actor_kind, actor_id, action, subject, request_id, ip)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def insert(transaction: Transaction, entry: Entry) -> None:
    """Writes one entry, in a transaction that sees its organization."""
    await transaction.execute(
        INSERT_ENTRY,
        entry.id,
        entry.org_id,
        entry.actor_kind,
        entry.actor_id,
        entry.action,
        entry.subject,
        entry.request_id,
        entry.ip,
    )
