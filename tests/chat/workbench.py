"""The real chat service over a real database and a provider on a real socket, for one organization."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
from google.api.httpbody_pb2 import HttpBody
from redis.asyncio import Redis

from server.billing.reservations import Reservations
from server.chat.chat_calls import LONGEST_CALL, ChatCalls
from server.chat.outcome import METADATA_KEY
from server.chat.providers.http1.patience import Patience
from server.chat.providers.http1.transport import PooledTransport
from server.chat.providers.openai import OpenAIProvider
from server.chat.service import ChatService
from server.foundation.clock import SystemClock
from server.foundation.ids import uuid7
from server.foundation.secrets import RootSecret
from server.limits.limiter import TEND_SECONDS, Limiter
from server.limits.terms import TermsBook
from server.models.catalogue import Catalogue, credential_place
from server.rpc.context import CallContext
from server.rpc.principal import Origin, Principal, PrincipalKind
from server.storage.database import Database, Role
from server.storage.schedule import Loop, Schedule
from server.usage.limit_sums import LimitSums
from server.usage.process_books import ProcessBooks
from server.usage.reports import UsageReports
from tests.support.databases import TestDatabase
from tollbridge.chat.v1.chat_pb2 import Outcome

MODEL: Final = "gpt-double"
PROMPT: Final = 'I\'m "Lynxa Pro",\nan identity – nothing else.'
API_KEY: Final = "sk-double-secret-000"
NANO: Final = 1_000_000_000
INPUT_NANO: Final = 150
"""Of one token of input; a million cost 0.15 dollars."""
OUTPUT_NANO: Final = 600
_SEALER: Final = RootSecret(b"0123456789abcdef0123456789abcdef").sealer("provider")
_PATIENCE: Final = Patience(connect=2.0, first_byte=5.0, idle=5.0)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model as the database has it."""

    id: str = MODEL
    upstream: str = MODEL
    context_tokens: int = 128_000
    max_output_tokens: int = 16_384
    tokenizer: str | None = "o200k_base"
    free: bool = False
    reasoning: bool = False
    max_tokens_field: str = "max_completion_tokens"
    image_max_tokens: int | None = None
    audio_second_max_tokens: int | None = None
    file_max_tokens: int | None = None
    stream_usage: bool = True
    priced: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """A usage event."""

    tokens: tuple[int, int, int, int, int]
    """Input, cache read, cache write, output, reasoning."""
    ending: str
    estimated: bool
    cost: int
    excess: int
    streamed: bool
    http_status: int
    provider_call_id: str

    @property
    def prompt(self) -> int:
        return sum(self.tokens[:3])

    @property
    def output(self) -> int:
        return sum(self.tokens[3:])


@dataclass(slots=True)
class Answer:
    """All that came of one call that succeeded."""

    messages: list[HttpBody]
    context: CallContext

    @property
    def body(self) -> bytes:
        return b"".join(message.data for message in self.messages)

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def payloads(self) -> list[bytes]:
        events = self.body.split(b"\n\n")
        assert events[-1] == b"", "every event is ended"
        assert all(event.startswith(b"data: ") for event in events[:-1])
        return [event.removeprefix(b"data: ") for event in events[:-1]]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        assert self.payloads[-1] == b"[DONE]"
        return [json.loads(payload) for payload in self.payloads[:-1]]

    @property
    def text(self) -> str:
        deltas = (choice["delta"] for chunk in self.chunks for choice in chunk["choices"])
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def headers(self) -> dict[str, str | bytes]:
        return dict(self.context.initial_metadata)

    @property
    def outcome(self) -> Outcome:
        return outcome_of(self.context)


def outcome_of(context: CallContext) -> Outcome:
    """The outcome in the trailing metadata."""
    value = dict(context.trailing_metadata)[METADATA_KEY]
    assert isinstance(value, bytes)
    return Outcome.FromString(value)


def ask(**more: object) -> dict[str, Any]:
    """A small request."""
    return {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **more}


@dataclass(slots=True)
class Workbench:
    """One organization with a wallet, and a chat service."""

    service: ChatService
    calls: ChatCalls
    owner: asyncpg.Connection
    org_id: UUID
    catalogue: Catalogue
    books: ProcessBooks
    terms: TermsBook
    limiter: Limiter
    principal: Principal = field(init=False)

    def __post_init__(self) -> None:
        self.principal = Principal(PrincipalKind.API_KEY, self.org_id, frozenset({"chat.create"}), key_id=uuid7())

    def context(self, deadline: float | None = None, models: frozenset[str] = frozenset()) -> CallContext:
        origin = Origin("127.0.0.1", "http", "req_test")
        principal = replace(self.principal, models=models)
        return CallContext("/tollbridge.chat.v1.ChatService/ChatCompletions", origin, {}, principal, deadline)

    def start(self, body: Mapping[str, Any] | bytes, context: CallContext) -> AsyncIterator[HttpBody]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.service.chat_completions(HttpBody(content_type="application/json", data=data), context)

    async def chat(self, body: Mapping[str, Any] | bytes, context: CallContext | None = None) -> Answer:
        context = context or self.context()
        return Answer([message async for message in self.start(body, context)], context)

    async def settled(self) -> None:
        """Waits until every call that ended is in the database and what was leased is given back."""
        assert await self.calls.drain(5.0) == 0
        await self.books.calls.flush()
        await self.books.leases.recall(self.org_id)

    async def events(self) -> list[Event]:
        """Every usage event, oldest first, once nothing is being settled any more."""
        await self.settled()
        rows = await self.owner.fetch("SELECT * FROM usage_event WHERE org_id = $1 ORDER BY id", self.org_id)
        return [_event(row) for row in rows]

    async def event(self) -> Event:
        """The only usage event."""
        (event,) = await self.events()
        return event

    async def spent(self) -> int:
        """Nano-dollars that left the wallet. Nothing may be held any more."""
        await self.settled()
        row = await self.owner.fetchrow(
            "SELECT debits_posted, debits_pending FROM ledger_account WHERE org_id = $1 AND code = 'wallet'",
            self.org_id,
        )
        assert row is not None
        assert row["debits_pending"] == 0
        assert await self.held() == 0
        posted: int = row["debits_posted"]
        return posted

    async def held(self) -> int:
        """Nano-dollars that are set aside for calls under way, from leases or by holds of their own."""
        held: int = await self.owner.fetchval(
            "SELECT coalesce(sum(amount), 0)::bigint FROM open_hold WHERE org_id = $1", self.org_id
        )
        return held + self.books.leases.taken(self.org_id)

    async def fund(self, nano: int) -> None:
        """Adds to the wallet."""
        find = "SELECT id FROM ledger_account WHERE org_id = $1 AND code = $2"
        wallet = await self.owner.fetchval(find, self.org_id, "wallet")
        issuance = await self.owner.fetchval(find, self.org_id, "issuance")
        move = "SELECT ledger_single($1, $2, $3, $4, $5, 'adjustment', '')"
        assert await self.owner.fetchval(move, self.org_id, uuid7(), issuance, wallet, nano) == "done"

    async def add_model(self, row: ModelRow, base_url: str) -> None:
        """Makes a model of a provider of its own."""
        now = datetime.now(UTC)
        sealed = _SEALER.seal(API_KEY.encode(), credential_place(row.id))
        await self.owner.execute(
            "INSERT INTO provider (name, kind, base_url, sealed_credential, create_time, update_time)"
            " VALUES ($1, 'openai', $2, $3, $4, $4)",
            *(row.id, base_url, sealed, now),
        )
        await self.owner.execute(
            "INSERT INTO model (id, provider, upstream, context_tokens, max_output_tokens, tokenizer, free, reasoning,"
            " max_tokens_field, image_max_tokens, audio_second_max_tokens, file_max_tokens, stream_usage, position,"
            " create_time, update_time) VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $13)",
            *(row.id, row.upstream, row.context_tokens, row.max_output_tokens, row.tokenizer, row.free, row.reasoning),
            *(row.max_tokens_field, row.image_max_tokens, row.audio_second_max_tokens, row.file_max_tokens),
            *(row.stream_usage, now),
        )
        if row.priced:
            await self.owner.execute(
                "INSERT INTO price_version (model_id, input, cache_read, cache_write, output, reasoning,"
                " effective_time) VALUES ($1, $2, $3, $2, $4, $4, $5)",
                *(row.id, INPUT_NANO * 1_000_000, INPUT_NANO * 500_000, OUTPUT_NANO * 1_000_000, now),
            )
        self.catalogue.forget("")

    async def add_profile(self, name: str = "lynxa-pro", model: str = MODEL, **values: object) -> None:
        """Makes a profile, or gives one other values."""
        row = {"prompt": PROMPT, "temperature": None, "max_output_tokens": None, **values}
        await self.owner.execute(
            "INSERT INTO profile (id, model_id, prompt, description, owned_by, temperature, max_output_tokens,"
            " configured, create_time, update_time) VALUES ($1, $2, $3, '', 'lynxa', $4, $5, false, $6, $6)"
            " ON CONFLICT (id) DO UPDATE SET prompt = excluded.prompt, model_id = excluded.model_id",
            *(name, model, row["prompt"], row["temperature"], row["max_output_tokens"], datetime.now(UTC)),
        )
        self.catalogue.forget("")


@asynccontextmanager
async def open_workbench(
    database: TestDatabase,
    patience: Patience = _PATIENCE,
    longest_call: timedelta = LONGEST_CALL,
    reservations: Callable[[Reservations], Reservations] = lambda plain: plain,
    plan: str = "unlimited",
    valkey_url: str = "redis://127.0.0.1:1",
    offset: timedelta = timedelta(0),
) -> AsyncIterator[Workbench]:
    """A workbench whose organization has 10 dollars and no model. A plan with limits wants a Valkey that is there;
    `offset` moves its time."""
    owner = await asyncpg.connect(database.owner_url)
    pools = await Database.connect(dict.fromkeys((Role.APP, Role.LOOKUP, Role.METER, Role.KEEPER), database.url))
    org_id = uuid7()
    await _make_organization(owner, org_id, plan)
    clock = SystemClock()
    catalogue = Catalogue(pools, _SEALER, clock)
    folder = tempfile.TemporaryDirectory()
    books = ProcessBooks(pools, Path(folder.name), Path(folder.name, "journal"), clock, uuid7, nobody_else)
    await books.start()
    valkey: Redis = Redis.from_url(valkey_url)
    sums = LimitSums(pools, books.calls.flush)
    moved = int(offset.total_seconds() * 1000)
    limiter = Limiter(valkey, sums, clock, books.process_id, books.others_run, moved)
    terms = TermsBook(pools, clock, limiter.gate)
    schedule = Schedule(pools, [*books.loops(), Loop("limits", TEND_SECONDS, limiter.tend)])
    schedule.start()
    calls = ChatCalls(
        catalogue=catalogue,
        terms=terms,
        reservations=reservations(books.reservations),
        book=books.calls,
        reports=UsageReports(pools, clock, books.calls.flush),
        providers={"openai": OpenAIProvider(PooledTransport(patience))},
        clock=clock,
        new_id=uuid7,
        longest_call=longest_call,
    )
    bench = Workbench(ChatService(calls), calls, owner, org_id, catalogue, books, terms, limiter)
    await bench.fund(10 * NANO)
    try:
        yield bench
        assert await calls.drain(5.0) == 0
    finally:
        await calls.close()
        await schedule.stop()
        await limiter.close()
        await valkey.aclose()
        await books.stop(5.0)
        folder.cleanup()
        await pools.close()
        await owner.close()
        # Closed connections leave the loop one turn later.
        await asyncio.sleep(0)


async def nobody_else() -> None:
    """There are no other processes to tell."""


async def _make_organization(owner: asyncpg.Connection, org_id: UUID, plan: str) -> None:
    now = datetime.now(UTC)
    await owner.execute(
        "INSERT INTO organization (id, name, create_time, update_time) VALUES ($1, 'Test', $2, $2)", org_id, now
    )
    await owner.execute(
        "INSERT INTO subscription (id, org_id, plan_id, plan_version, start_time) VALUES ($1, $2, $4, 1, $3)",
        *(uuid7(), org_id, now, plan),
    )
    await owner.execute("SELECT ledger_open_accounts($1)", org_id)


def _event(row: asyncpg.Record) -> Event:
    return Event(
        (
            row["input_tokens"],
            row["cache_read_tokens"],
            row["cache_write_tokens"],
            row["output_tokens"],
            row["reasoning_tokens"],
        ),
        row["ending"],
        row["estimated"],
        row["cost"],
        row["excess"],
        row["streamed"],
        row["http_status"],
        row["provider_call_id"],
    )
