"""The chains that are sealed: the ledger's transfers and the audit's entries, of each organization."""

from __future__ import annotations

from typing import Final

from server.audit.seals import AUDIT_CHAIN
from server.storage import sealing
from server.storage.database import Transaction
from server.storage.sealing import Chain

SEAL_SECONDS: Final = 10.0
"""Pause between two runs."""

LEDGER_CHAIN: Final = Chain(
    "ledger",
    "ledger_transfer",
    (
        *("position", "id", "org_id", "kind", "debit_account", "credit_account", "amount", "pending_id", "purpose"),
        *("description", "usage_event_id", "create_time"),
    ),
)

CHAINS: Final = (AUDIT_CHAIN, LEDGER_CHAIN)


async def seal(transaction: Transaction) -> None:
    """Seals what was committed, as the keeper."""
    await sealing.seal(transaction, CHAINS)
