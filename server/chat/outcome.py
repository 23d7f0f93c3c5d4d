"""What a call came to, told in its trailing metadata."""

from __future__ import annotations

from typing import Final

from server.billing.holds import Hold
from server.foundation import ids, money
from server.models.prices import cost
from server.usage.metering import MeteredCall, Settlement
from tollbridge.chat.v1.chat_pb2 import Outcome
from tollbridge.usage.v1.usage_pb2 import TokenCounts

METADATA_KEY: Final = "tollbridge-outcome-bin"
_CURRENCY: Final = "USD"


def describe(
    call: MeteredCall, hold: Hold, settlement: Settlement | None, *, max_tokens_clamped: int, cutoff: str
) -> bytes:
    """The serialized `Outcome`. Where the settlement is still under way, what is available is left out."""
    tokens = call.tokens
    if settlement is not None:
        charged = settlement.cost
    else:
        charged = 0 if call.price is None else min(cost(call.price, tokens), hold.amount)
    return Outcome(
        usage_event_id=ids.to_text(ids.USAGE_EVENT, call.id),
        tokens=TokenCounts(
            input=tokens.input,
            cache_read=tokens.cache_read,
            cache_write=tokens.cache_write,
            output=tokens.output,
            reasoning=tokens.reasoning,
            total=tokens.total,
        ),
        cost=money.to_text(charged),
        currency=_CURRENCY,
        available="" if settlement is None else money.to_text(settlement.available),
        plan_id=hold.plan_id,
        model=call.model_id,
        provider=call.provider,
        estimated=call.estimated,
        max_tokens_clamped=max_tokens_clamped,
        cutoff=cutoff,
        ending=call.ending,
    ).SerializeToString()
