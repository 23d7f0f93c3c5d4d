"""Settling a call: its hold is closed, its event written, its bucket raised, in one statement, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from server.billing import transfer_ids
from server.billing.hold_store import LOST_RACES
from server.billing.holds import Hold
from server.models.prices import Price, TokenCounts, cost
from server.storage.database import Database, DatabaseUnavailableError, Role
from server.usage import store
from server.usage.settlement_row import MAX_COST, MAX_INT, bounded, clean, storable

COMPLETE: Final = "complete"
CLIENT_LEFT: Final = "client_left"
PROVIDER_FAILED: Final = "provider_failed"
DEADLINE: Final = "deadline"
INTERRUPTED: Final = "interrupted"
ENDINGS: Final = (COMPLETE, CLIENT_LEFT, PROVIDER_FAILED, DEADLINE, INTERRUPTED)

_WAITS: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds between tries when the database is away."""


_REFUSED: Final = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""Valid JSON that jsonb cannot hold (an escaped NUL, a lone surrogate, 1e999999): left out, money matters more."""


class MeteredCall(msgspec.Struct, frozen=True):
    """A call that ended, with all that is remembered of it."""

    id: UUID
    """UUIDv7 drawn at admission; the same that the hold was opened with."""
    org_id: UUID
    key_id: UUID | None
    user_id: UUID | None
    model_id: str
    provider: str
    provider_call_id: str
    request_id: str
    attempt: int
    """Number of the try at a provider, from 1."""
    create_time: datetime
    duration_ms: int
    first_token_ms: int
    """0 where no token came."""
    streamed: bool
    ending: str
    """One of `ENDINGS`."""
    estimated: bool
    """Whether tokens were counted here because the provider reported none."""
    tokens: TokenCounts
    price: Price | None
    """None only for free models."""
    raw_usage: bytes | None
    """The provider's usage, as JSON text; None where it sent none."""
    http_status: int
    profile: str = ""
    """The profile that was asked for; empty: the model by its own name."""


class Settlement(msgspec.Struct, frozen=True):
    """What a call was charged, in nano-dollars."""

    cost: int
    """Never more than the hold."""
    excess: int
    """What the provider reported beyond the hold; the platform bears it."""
    available: int
    """What the account that paid has left to reserve; 0 where none was involved or the call was settled before."""
    transfer_id: UUID | None
    """The movement that paid; None where nothing was charged."""


class Meter:
    """Settles calls."""

    def __init__(self, database: Database, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._database = database
        self._sleep = sleep

    async def settle(self, hold: Hold, call: MeteredCall) -> Settlement:
        """Charges the call's price, at most what is held. Settling again answers the first settlement.

        Tries again for about four seconds while the database is away; then raises `DatabaseUnavailableError`, and the
        hold stays open.
        """
        arguments = settlement_arguments(hold.id if hold.amount else None, call)
        for wait in _WAITS:
            try:
                return await self._settle(Role.APP, arguments, call.profile)
            except (DatabaseUnavailableError, *LOST_RACES):
                await self._sleep(wait)
            except _REFUSED:
                arguments = (*arguments[:-1], None)
        return await self._settle(Role.APP, arguments, call.profile)

    async def settle_for_dead(self, hold_id: UUID, call: MeteredCall) -> None:
        """Settles the call of a process that is dead. Raises `DatabaseUnavailableError`."""
        arguments = settlement_arguments(hold_id, call)
        try:
            await self._settle(Role.KEEPER, arguments, call.profile)
        except _REFUSED:
            await self._settle(Role.KEEPER, (*arguments[:-1], None), call.profile)

    async def _settle(self, role: Role, arguments: tuple[object, ...], profile: str) -> Settlement:
        async with self._database.statement(role) as transaction:
            row = await store.settle_call(transaction, arguments, profile)
        return Settlement(row["cost"], row["excess"], row["available"], row["transfer"])


def price_of(call: MeteredCall) -> int:
    """What the call costs in nano-dollars, however much of it is charged."""
    return 0 if call.price is None else min(cost(call.price, bounded(call.tokens)), MAX_COST)


def charges(call: MeteredCall, reserved: int) -> tuple[int, int]:
    """What the organization is charged for the call, at most what was reserved, and what the platform bears beyond."""
    price = price_of(call)
    charged = min(price, reserved)
    return charged, price - charged if reserved else 0


def settlement_arguments(hold_id: UUID | None, call: MeteredCall) -> tuple[object, ...]:
    """The arguments of settle_call, in its order; the provider's usage last."""
    org_id, price, tokens = call.org_id, call.price, bounded(call.tokens)
    return (
        org_id,
        hold_id,
        None if hold_id is None else transfer_ids.close_id(org_id, call.id),
        None if hold_id is None else transfer_ids.spill_id(org_id, call.id),
        None if hold_id is None else transfer_ids.excess_id(org_id, call.id),
        price_of(call),
        call.id,
        call.key_id,
        call.user_id,
        call.model_id,
        call.provider,
        clean(call.provider_call_id),
        call.request_id,
        call.attempt,
        call.create_time,
        min(call.duration_ms, MAX_INT),
        min(call.first_token_ms, MAX_INT),
        call.streamed,
        call.ending,
        call.estimated,
        call.http_status,
        tokens.input,
        tokens.cache_read,
        tokens.cache_write,
        tokens.output,
        tokens.reasoning,
        None if price is None else price.version,
        None if price is None else price.markup_version,
        storable(call.raw_usage),
    )
