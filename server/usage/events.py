"""Metered calls, as the history shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.billing.spans import Span
from server.foundation import ids, money
from server.models.prices import TokenCounts
from server.storage.database import Transaction
from server.usage import filtered_events, store, totals
from server.usage.filtered_events import SLACK, Page
from tollbridge.usage.v1 import usage_pb2

_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One metered call."""

    id: UUID
    create_time: datetime
    model_id: str
    provider: str
    key_id: UUID | None
    tokens: TokenCounts
    cost: int
    """Nano-dollars."""
    ending: str
    estimated: bool
    streamed: bool
    duration_ms: int
    first_token_ms: int
    provider_call_id: str
    request_id: str
    transfer_id: UUID | None
    profile: str
    """The profile that was asked for; empty: the model by its own name."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which calls are wanted."""

    span: Span
    model: str
    """A model's or profile's name; empty: all."""
    key_id: UUID | None
    """None: all."""


async def load_page(
    transaction: Transaction, org_id: UUID, wanted: EventFilter, after: UUID | None, limit: int
) -> list[UsageEvent]:
    """At most `limit` of the tenant's calls, newest first, older than the call `after`."""
    start, end = wanted.span
    first = _FIRST if start is None else ids.first_uuid7(start, -SLACK)
    last = after or (_LAST if end is None else ids.first_uuid7(end, SLACK))
    page = Page(org_id, first, last, wanted.span, limit)
    if wanted.model or wanted.key_id:
        rows = await filtered_events.load(transaction, page, wanted.model, wanted.key_id)
    else:
        rows = list(await store.list_events(transaction, *page.bounds))
    return [_event(row) for row in rows]


def to_proto(event: UsageEvent) -> usage_pb2.UsageEvent:
    """The resource as callers see it."""
    message = usage_pb2.UsageEvent(
        id=ids.to_text(ids.USAGE_EVENT, event.id),
        model=event.model_id,
        provider=event.provider,
        key_id="" if event.key_id is None else ids.to_text(ids.KEY, event.key_id),
        tokens=totals.tokens_to_proto(event.tokens),
        cost=money.to_text(event.cost),
        currency="USD",
        ending=event.ending,
        estimated=event.estimated,
        streamed=event.streamed,
        duration_ms=event.duration_ms,
        first_token_ms=event.first_token_ms,
        provider_call_id=event.provider_call_id,
        request_id=event.request_id,
        transaction_id="" if event.transfer_id is None else ids.to_text(ids.TRANSACTION, event.transfer_id),
        profile=event.profile,
    )
    message.create_time.FromDatetime(event.create_time)
    return message


def _event(row: asyncpg.Record) -> UsageEvent:
    tokens = TokenCounts(
        row["input_tokens"],
        row["cache_read_tokens"],
        row["cache_write_tokens"],
        row["output_tokens"],
        row["reasoning_tokens"],
    )
    return UsageEvent(
        id=row["id"],
        create_time=row["create_time"],
        model_id=row["model_id"],
        provider=row["provider"],
        key_id=row["key_id"],
        tokens=tokens,
        cost=row["cost"],
        ending=row["ending"],
        estimated=row["estimated"],
        streamed=row["streamed"],
        duration_ms=row["duration_ms"],
        first_token_ms=row["first_token_ms"],
        provider_call_id=row["provider_call_id"],
        request_id=row["request_id"],
        transfer_id=row["transfer_id"],
        profile=row["profile"],
    )
