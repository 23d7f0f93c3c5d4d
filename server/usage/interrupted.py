"""Calls whose process died before it settled them."""

from __future__ import annotations

from datetime import datetime

from server.billing.reaper import AbandonedHold
from server.models.prices import TokenCounts
from server.storage.database import Transaction
from server.usage import store
from server.usage.metering import INTERRUPTED, MeteredCall, settlement_arguments


class InterruptedCalls:
    """Closes abandoned holds for billing's reaper."""

    async def close(self, transaction: Transaction, hold: AbandonedHold, now: datetime) -> None:
        """Voids the hold and writes an event without tokens, flagged `interrupted` and estimated."""
        detail = hold.detail
        call = MeteredCall(
            id=hold.call_id,
            org_id=hold.org_id,
            key_id=detail.key_id,
            user_id=detail.user_id,
            model_id=detail.model_id,
            provider=hold.provider,
            provider_call_id="",
            request_id=detail.request_id,
            attempt=1,
            create_time=detail.create_time,
            duration_ms=max(0, int((now - detail.create_time).total_seconds() * 1000)),
            first_token_ms=0,
            streamed=detail.streamed,
            ending=INTERRUPTED,
            estimated=True,
            tokens=TokenCounts(),
            price=None,
            raw_usage=None,
            http_status=0,
        )
        await store.settle_call(transaction, settlement_arguments(hold.id, call))
