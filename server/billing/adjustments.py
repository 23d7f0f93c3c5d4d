"""Credits and debits by the platform's administrators: the only way to move money without a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.audit import entries
from server.billing import balances, store, transactions, transfer_ids
from server.billing.accounts import ISSUANCE
from server.billing.balances import Balance
from server.billing.errors import AmountInvalidError, BelowFloorError, TransferMismatchError
from server.billing.transactions import Movement
from server.foundation import ids, money
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.organizations import store as organizations
from server.rpc.context import CallContext
from server.rpc.errors import NotFoundError
from server.storage.database import Database, Transaction

MAX_DECIMALS: Final = 6
_ACTION: Final = "balance.adjust"
_PURPOSE: Final = "adjustment"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What is asked for."""

    org_id: UUID
    amount: int
    """Nano-dollars, positive."""
    credit: bool
    """True: the balance rises."""
    funding: str
    """"wallet" or "promo"."""
    description: str
    transfer_key: str
    """Makes it happen once; empty: always anew."""


def amount_of(text: str) -> int:
    """Nano-dollars of an amount as callers write it, above zero. Raises `AmountInvalidError`, naming the field."""
    try:
        amount = money.parse(text, MAX_DECIMALS)
    except money.UncleanAmountError as error:
        raise AmountInvalidError("amount", str(error)) from error
    if amount == 0:
        raise AmountInvalidError("amount", "must be more than zero")
    return amount


class Adjustments:
    """Makes them, in the target's own transaction, with the audit entry."""

    def __init__(self, database: Database, clock: Clock, new_id: NewId) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def adjust(self, context: CallContext, adjustment: Adjustment) -> tuple[Movement, Balance]:
        """The movement and the balance after it.

        Raises `NotFoundError`, `BelowFloorError`, `TransferMismatchError`; then nothing has happened.
        """
        org_id = adjustment.org_id
        key = adjustment.transfer_key or f"once/{self._new_id().hex}"
        transfer_id = transfer_ids.adjustment_id(org_id, key)
        async with self._database.tenant(org_id) as transaction:
            if await organizations.get(transaction, org_id) is None:
                raise NotFoundError("organization")
            await self._move(transaction, transfer_id, adjustment)
            await entries.record(transaction, context, org_id, _ACTION, ids.to_text(ids.TRANSACTION, transfer_id))
            movement = transactions.from_row(await store.get_statement_row(transaction, transfer_id))
            return movement, await balances.load(transaction, org_id, self._clock.now())

    async def _move(self, transaction: Transaction, transfer_id: UUID, adjustment: Adjustment) -> None:
        org_id = adjustment.org_id
        issuance = await store.account_id(transaction, org_id, ISSUANCE)
        account = await self._account(transaction, adjustment)
        debit, credit = (issuance, account) if adjustment.credit else (account, issuance)
        outcome = await store.move(
            transaction, org_id, transfer_id, debit, credit, adjustment.amount, _PURPOSE, adjustment.description
        )
        if outcome == "mismatch":
            raise TransferMismatchError
        if outcome == "below_floor":
            raise BelowFloorError(await store.available(transaction, account))

    @staticmethod
    async def _account(transaction: Transaction, adjustment: Adjustment) -> UUID:
        """The wallet, or the promo account that pays for everything, opened where the first credit needs it."""
        org_id = adjustment.org_id
        if adjustment.funding == "wallet":
            return await store.account_id(transaction, org_id, "wallet")
        account = await store.general_promo(transaction, org_id)
        if account is not None:
            return account
        if not adjustment.credit:
            raise BelowFloorError(0)
        return await store.open_funding(transaction, org_id, "promo", (), None, adjustment.description)
