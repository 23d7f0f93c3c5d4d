"""Sums of usage."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from server.foundation import money
from server.foundation.windows import Window
from server.models.prices import TokenCounts
from tollbridge.usage.v1 import usage_pb2


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened in a span of time."""

    requests: int
    errors: int
    tokens: TokenCounts
    cost: int
    """Nano-dollars."""


@dataclass(frozen=True, slots=True)
class Period:
    """A window and its sums."""

    window: Window
    totals: Totals


@dataclass(frozen=True, slots=True)
class Group:
    """Sums under one name: a model, or a key's id as callers see it (empty: calls of people)."""

    name: str
    totals: Totals


def from_row(row: asyncpg.Record) -> Totals:
    """The sums of a row."""
    tokens = TokenCounts(row["input"], row["cache_read"], row["cache_write"], row["output"], row["reasoning"])
    return Totals(row["requests"], row["errors"], tokens, row["cost"])


def tokens_to_proto(tokens: TokenCounts) -> usage_pb2.TokenCounts:
    """Tokens as callers see them."""
    return usage_pb2.TokenCounts(
        input=tokens.input,
        cache_read=tokens.cache_read,
        cache_write=tokens.cache_write,
        output=tokens.output,
        reasoning=tokens.reasoning,
        total=tokens.total,
    )


def to_proto(totals: Totals) -> usage_pb2.UsageTotals:
    """Sums as callers see them."""
    return usage_pb2.UsageTotals(
        requests=totals.requests,
        errors=totals.errors,
        tokens=tokens_to_proto(totals.tokens),
        cost=money.to_text(totals.cost),
        currency="USD",
    )


def period_to_proto(period: Period) -> usage_pb2.UsagePeriod:
    """A period as callers see it."""
    message = usage_pb2.UsagePeriod(label=period.window.label, totals=to_proto(period.totals))
    message.start_time.FromDatetime(period.window.start)
    message.end_time.FromDatetime(period.window.end)
    return message


def group_to_proto(group: Group) -> usage_pb2.UsageGroup:
    """A group as callers see it."""
    return usage_pb2.UsageGroup(name=group.name, totals=to_proto(group.totals))
