"""What a call came to, told in its trailing metadata."""

from __future__ import annotations

from typing import Final

from server.billing.holds import Hold
from server.foundation import ids, money
from server.models.prices import cost
from server.usage.metering import MeteredCall, Settlement
from server.usage.reports import Current
from tollbridge.chat.v1.chat_pb2 import Outcome
from tollbridge.usage.v1.usage_pb2 import TokenCounts

METADATA_KEY: Final = "tollbridge-outcome-bin"
QUOTA_KEY: Final = "x-tollbridge-quota"
"""Metadata of a call that wants to hear what is left; only then today's usage is read once more."""
TODAY: Final = "today"
_CURRENCY: Final = "USD"


def charge(call: MeteredCall, hold: Hold, settlement: Settlement | None) -> int:
    """What the call was charged or will be, in nano-dollars."""
    if settlement is not None:
        return settlement.cost
    return 0 if call.price is None else min(cost(call.price, call.tokens), hold.amount)


def describe(
    call: MeteredCall,
    hold: Hold,
    settlement: Settlement | None,
    *,
    max_tokens_clamped: int,
    cutoff: str,
    today: Current | None = None,
) -> bytes:
    """The serialized `Outcome`. Where the settlement is still under way, what is available is left out.
    `today`: the organization's day with this call in it, where it was asked for."""
    tokens = call.tokens
    described = Outcome(
        usage_event_id=ids.to_text(ids.USAGE_EVENT, call.id),
        tokens=TokenCounts(
            input=tokens.input,
            cache_read=tokens.cache_read,
            cache_write=tokens.cache_write,
            output=tokens.output,
            reasoning=tokens.reasoning,
            total=tokens.total,
        ),
        cost=money.to_text(charge(call, hold, settlement)),
        currency=_CURRENCY,
        available="" if settlement is None else money.to_text(settlement.available),
        plan_id=hold.plan_id,
        model=call.model_id,
        provider=call.provider,
        estimated=call.estimated,
        max_tokens_clamped=max_tokens_clamped,
        cutoff=cutoff,
        ending=call.ending,
        profile=call.profile,
    )
    if today is not None:
        _add_today(described, today)
    return described.SerializeToString()


def _add_today(described: Outcome, today: Current) -> None:
    described.plan_id = today.plan_id
    described.requests_used_today = today.day.totals.requests
    described.tokens_used_today = today.day.totals.tokens.total
    if today.requests_left is not None:
        described.requests_left_today = today.requests_left
    if today.tokens_left is not None:
        described.tokens_left_today = today.tokens_left
