"""A database with organizations that have money, and calls that cost some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from server.billing.accounts import Accounts
from server.billing.balances import Balance, load
from server.billing.holds import Hold, HoldDetail, Holds
from server.billing.verify import verify
from server.foundation.clock import SystemClock
from server.foundation.ids import uuid7
from server.foundation.secrets import Pepper
from server.models.prices import Price, TokenCounts
from server.organizations.events import OrganizationCreated
from server.plans.subscriptions import Subscriptions
from server.rpc.context import CallContext
from server.rpc.pagination import Paginator
from server.rpc.principal import Origin, Principal, PrincipalKind
from server.storage.database import Database, Role
from server.usage.metering import COMPLETE, Meter, MeteredCall, Settlement
from tests.support.databases import TestDatabase

DOLLAR: Final = 1_000_000_000
MODEL: Final = "gpt-4o-mini"
PAGINATOR: Final = Paginator(Pepper(b"p" * 32))
FAR: Final = timedelta(hours=1)


class MovableClock(SystemClock):
    """The machine's clock, until it is set."""

    def __init__(self) -> None:
        self.time: datetime | None = None
        self.elapsed = 0.0

    def now(self) -> datetime:
        return self.time or super().now()

    def monotonic(self) -> float:
        return super().monotonic() + self.elapsed


@dataclass(slots=True)
class Books:
    """One process's view of the database."""

    database: Database
    owner: asyncpg.Connection
    """A superuser, who sees all rows of all tenants."""
    clock: MovableClock
    process_id: UUID
    price: Price

    @property
    def holds(self) -> Holds:
        return Holds(self.database, self.process_id)

    @property
    def meter(self) -> Meter:
        return Meter(self.database)

    async def organization(self, promo: int = 0, zone: str = "UTC", plan: str = "free", made: str = "") -> UUID:
        """A new organization with its accounts and plan, and promo credit in nano-dollars."""
        org_id = uuid7()
        time = datetime.fromisoformat(made) if made else self.clock.now()
        async with self.database.tenant(org_id) as transaction:
            await transaction.execute(
                "INSERT INTO organization (id, name, time_zone, create_time, update_time)"
                " VALUES ($1, 'Acme', $2, $3, $3)",
                org_id,
                zone,
                time,
            )
            event = OrganizationCreated(org_id, "Acme", time)
            await Accounts().organization_created(transaction, event)
            await Subscriptions(self.database, uuid7, plan).organization_created(transaction, event)
        if promo:
            await self.promo(org_id, promo)
        return org_id

    async def promo(
        self, org_id: UUID, amount: int, models: Sequence[str] = (), expire_time: datetime | None = None, key: str = ""
    ) -> UUID:
        """A promo account with so many nano-dollars."""
        async with self.database.tenant(org_id) as transaction:
            return await Accounts().grant_promo(
                transaction, org_id, amount, models, expire_time, "a gift", key or uuid7().hex
            )

    async def hold(
        self, org_id: UUID, amount: int, call_id: UUID | None = None, model: str = MODEL
    ) -> tuple[UUID, Hold]:
        """The call's id and its hold."""
        call_id, now = call_id or uuid7(), self.clock.now()
        detail = HoldDetail(model, None, None, "req_test", False, now)
        hold = await self.holds.open(
            org_id=org_id, call_id=call_id, model_id=model, amount=amount, expire_time=now + FAR, detail=detail
        )
        return call_id, hold

    async def settle(self, hold: Hold, call_id: UUID, tokens: TokenCounts) -> Settlement:
        """Ends the call with so many tokens, priced at `price`."""
        return await self.meter.settle(hold, self.call(hold.org_id, call_id, tokens))

    def call(self, org_id: UUID, call_id: UUID, tokens: TokenCounts, ending: str = COMPLETE) -> MeteredCall:
        """A call that ended now."""
        return MeteredCall(
            id=call_id,
            org_id=org_id,
            key_id=None,
            user_id=None,
            model_id=MODEL,
            provider="double",
            provider_call_id="chatcmpl-1",
            request_id="req_test",
            attempt=1,
            create_time=self.clock.now(),
            duration_ms=12,
            first_token_ms=3,
            streamed=False,
            ending=ending,
            estimated=False,
            tokens=tokens,
            price=self.price,
            raw_usage=b'{"prompt_tokens":1}',
            http_status=200,
        )

    async def balance(self, org_id: UUID) -> Balance:
        """The organization's balance."""
        async with self.database.tenant(org_id) as transaction:
            return await load(transaction, org_id, self.clock.now())

    async def count(self, table: str, where: str = "true") -> int:
        """Rows of all tenants."""
        number: int = await self.owner.fetchval(f"SELECT count(*) FROM {table} WHERE {where}")
        return number

    async def assert_right(self) -> None:
        """Fails with verify's lines where the books are wrong."""
        report = await verify(self.database)
        assert report.ok, "\n".join(report.lines)


@asynccontextmanager
async def open_books(database: TestDatabase) -> AsyncIterator[Books]:
    """Pools for every role, and a price of one nano-dollar a token: input and output alike."""
    pools = await Database.connect(dict.fromkeys(Role, database.url))
    owner = await asyncpg.connect(database.owner_url)
    try:
        price = await nano_a_token(owner)
        yield Books(pools, owner, MovableClock(), uuid7(), price)
    finally:
        await owner.close()
        await pools.close()


async def nothing_waits() -> None:
    """Every call that ended is in the database already."""


async def nano_a_token(owner: asyncpg.Connection) -> Price:
    """A model whose tokens cost one nano-dollar each, so that tests count in tokens."""
    now = datetime.now(UTC)
    await owner.execute(
        "INSERT INTO provider (name, kind, base_url, sealed_credential, create_time, update_time)"
        " VALUES ('double', 'openai', 'http://127.0.0.1:1/v1', '', $1, $1)",
        now,
    )
    await owner.execute(
        "INSERT INTO model (id, provider, upstream, context_tokens, max_output_tokens, free, reasoning,"
        " max_tokens_field, stream_usage, position, create_time, update_time)"
        " VALUES ($1, 'double', $1, 1000, 1000, false, false, 'max_tokens', true, 0, $2, $2)",
        MODEL,
        now,
    )
    million = 1_000_000
    version = await owner.fetchval(
        "INSERT INTO price_version (model_id, input, cache_read, cache_write, output, reasoning, effective_time)"
        " VALUES ($1, $2, $2, $2, $2, $2, $3) RETURNING version",
        MODEL,
        million,
        now,
    )
    return Price(version, million, million, million, million, million)


def context_of(org_id: UUID, method: str = "/test/Method", *, platform_admin: bool = False) -> CallContext:
    """A call of a person of the organization."""
    principal = Principal(
        PrincipalKind.USER, org_id, frozenset(), user_id=uuid7(), session_id=uuid7(), platform_admin=platform_admin
    )
    return CallContext(method, Origin("127.0.0.1", "http", "req_test"), {}, principal)
