"""Movements of an organization's money, as its statement shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from server.billing.errors import CURRENCY
from server.foundation import ids, money
from tollbridge.billing.v1 import balance_pb2


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of an account whose sum is the balance."""

    id: UUID
    debit: bool
    """Whether the balance fell."""
    amount: int
    """Nano-dollars, positive."""
    funding: str
    purpose: str
    """"usage", "adjustment", "promo"."""
    description: str
    usage_event_id: UUID | None
    create_time: datetime
    transfer_id: UUID
    """What moved it: the movement's own id, or the draw that paid for many calls."""


def from_row(row: asyncpg.Record) -> Movement:
    """A row of the statement."""
    return Movement(**dict(row))


def to_proto(movement: Movement) -> balance_pb2.Transaction:
    """The resource as callers see it."""
    event_id = movement.usage_event_id
    message = balance_pb2.Transaction(
        id=ids.to_text(ids.TRANSACTION, movement.id),
        direction="DEBIT" if movement.debit else "CREDIT",
        amount=money.to_text(movement.amount),
        currency=CURRENCY,
        funding=movement.funding,
        kind=movement.purpose,
        description=movement.description,
        usage_event_id="" if event_id is None else ids.to_text(ids.USAGE_EVENT, event_id),
    )
    message.create_time.FromDatetime(movement.create_time)
    return message
