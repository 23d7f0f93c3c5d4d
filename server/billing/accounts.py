"""Opening an organization's accounts, and giving it promo credit or a credit line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from server.billing import store, transfer_ids
from server.billing.errors import TransferMismatchError
from server.organizations.events import OrganizationCreated
from server.storage.database import Transaction

ISSUANCE: Final = "issuance"
"""Where credit that nobody paid for comes from, and where what is taken back goes."""


class Accounts:
    """Opens accounts. Hears of new organizations."""

    async def organization_created(self, transaction: Transaction, event: OrganizationCreated) -> None:
        """Opens the accounts that every organization has."""
        await store.open_accounts(transaction, event.org_id)

    async def grant_promo(
        self,
        transaction: Transaction,
        org_id: UUID,
        amount: int,
        models: Sequence[str],
        expire_time: datetime | None,
        description: str,
        caller_key: str,
    ) -> UUID:
        """Opens a promo account with `amount` nano-dollars for the named models (none: all); answers its id.

        The same `caller_key` grants once and answers the first account. Raises `TransferMismatchError` where two
        grants under one key race, of which the other one wins.
        """
        transfer_id = transfer_ids.transfer_id(org_id, f"promo/{caller_key}")
        before = await store.credited_account(transaction, transfer_id)
        if before is not None:
            return before
        account = await store.open_funding(transaction, org_id, "promo", models, expire_time, description)
        issuance = await store.account_id(transaction, org_id, ISSUANCE)
        outcome = await store.move(transaction, org_id, transfer_id, issuance, account, amount, "promo", description)
        if outcome != "done":
            raise TransferMismatchError
        return account

    async def open_credit_line(self, transaction: Transaction, org_id: UUID, limit: int, description: str) -> UUID:
        """Opens the organization's one postpaid account, which may fall to -`limit` nano-dollars; answers its id.

        Raises asyncpg.UniqueViolationError where it has one.
        """
        return await store.open_funding(transaction, org_id, "postpaid", (), None, description, -limit)
