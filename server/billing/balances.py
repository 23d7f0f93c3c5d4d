"""What an organization has, as the ledger has it at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.billing import store
from server.billing.errors import CURRENCY
from server.foundation import money
from server.storage.database import Transaction
from tollbridge.billing.v1 import balance_pb2

_MONEY: Final = frozenset({"promo", "wallet", "postpaid"})
"""Kinds whose posted sums are the balance. Packages count on their own."""


@dataclass(frozen=True, slots=True)
class Funding:
    """One account that pays for calls. Amounts in nano-dollars."""

    kind: str
    posted: int
    reserved: int
    available: int
    """What new calls can reserve, down to the floor; 0 once it has expired."""
    models: tuple[str, ...]
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class Balance:
    """All of them, in the order in which they pay."""

    funding: Sequence[Funding]

    @property
    def posted(self) -> int:
        """Credits minus debits of promo, wallet and postpaid that are final."""
        return sum(row.posted for row in self.funding if row.kind in _MONEY)

    @property
    def reserved(self) -> int:
        """Held by calls that still run."""
        return sum(row.reserved for row in self.funding if row.kind in _MONEY)

    @property
    def available(self) -> int:
        """What new calls can still reserve, credit lines included."""
        return sum(row.available for row in self.funding if row.kind in _MONEY)


async def load(transaction: Transaction, org_id: UUID, now: datetime) -> Balance:
    """The balance, in a transaction that sees the organization."""
    rows = []
    for row in await store.list_funding(transaction, org_id):
        expired = row["expire_time"] is not None and row["expire_time"] <= now
        available = 0 if expired else row["posted"] - row["reserved"] - row["floor"]
        models = tuple(row["models"])
        rows.append(Funding(row["kind"], row["posted"], row["reserved"], available, models, row["expire_time"]))
    return Balance(rows)


def to_proto(balance: Balance) -> balance_pb2.Balance:
    """The resource as callers see it."""
    return balance_pb2.Balance(
        balance=money.to_text(balance.posted),
        currency=CURRENCY,
        posted=money.to_text(balance.posted),
        reserved=money.to_text(balance.reserved),
        available=money.to_text(balance.available),
        funding=[_funding_to_proto(row) for row in balance.funding],
    )


def _funding_to_proto(row: Funding) -> balance_pb2.Funding:
    message = balance_pb2.Funding(
        kind=row.kind,
        posted=money.to_text(row.posted),
        reserved=money.to_text(row.reserved),
        available=money.to_text(row.available),
        models=row.models,
    )
    if row.expire_time is not None:
        message.expire_time.FromDatetime(row.expire_time)
    return message
