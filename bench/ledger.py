"""How fast calls come into the books: leased and journaled, flushed in batches, or held and settled one by one.

A PostgreSQL of its own on the load's core, with fsync on; our part of the work runs on the product's core.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from bench.accounts import make_organizations
from cli.embedded.postgres import SUPERUSER, EmbeddedPostgres
from server.billing.holds import Hold, HoldDetail
from server.billing.processes import IN_DATABASE
from server.foundation.clock import SystemClock
from server.foundation.ids import uuid7
from server.models.prices import Price, TokenCounts
from server.storage.database import Database, Role
from server.storage.migrate import migrate
from server.storage.schedule import Loop
from server.usage.metering import COMPLETE, MeteredCall
from server.usage.process_books import ProcessBooks

_LOGIN: Final = "tollbridge"
_MODEL: Final = "bench"
_FLUSHED: Final = "flushed, "
_HELD: Final = "a hold and a settlement each, "
CALLS: Final = 40_000
COMMITTED: Final = 10_000
PAIRS: Final = 2_000
_WRITERS: Final = 8
_CALLERS: Final = 64
_PRICE: Final = Price(1, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Rate:
    """One way of settling."""

    title: str
    a_second: float
    microseconds: float
    """Our own CPU time a call."""

    def line(self) -> str:
        """For people."""
        return f"{self.title}: {self.a_second:,.0f} a second, {self.microseconds:.1f} us of our CPU time each"


def measure(folder: Path, product_core: int, load_core: int, progress: Callable[[str], None]) -> list[Rate]:
    """Every way, in turn. Raises EmbeddedServiceError."""
    os.sched_setaffinity(0, {load_core})
    server = EmbeddedPostgres(folder / "ledger", {"max_wal_size": "4GB"})
    progress("starting PostgreSQL")
    server.start()
    try:
        os.sched_setaffinity(0, {product_core})
        return asyncio.run(_measure(server, folder, progress))
    finally:
        server.stop()


def _organizations(count: int) -> str:
    return "1 organization" if count == 1 else f"{count} organizations"


FLUSHED_ONE: Final = _FLUSHED + _organizations(1)
"""The title of the rate at which one organization's calls are flushed."""
HELD_ONE: Final = _HELD + _organizations(1)
"""The title of the rate of holds and settlements on one hot organization."""


async def _measure(server: EmbeddedPostgres, folder: Path, progress: Callable[[str], None]) -> list[Rate]:
    owner_url, url = server.dsn(SUPERUSER, SUPERUSER), server.dsn(_LOGIN, SUPERUSER)
    await migrate(owner_url, _LOGIN, datetime.now(UTC))
    rates = []
    async with _opened(owner_url, url, folder) as (owner, database, books):
        for organizations in (1, 200):
            orgs = await make_organizations(owner, organizations, datetime.now(UTC))
            title = _organizations(organizations)
            progress(f"leasing and flushing, {title}")
            rates.append(await _journaled(books, orgs, f"leased and journaled, {title}"))
            rates.append(await _flushed(books, f"{_FLUSHED}{title}"))
            progress(f"leasing and committing, {title}")
            rates.append(await _committed(database, folder, orgs, f"leased, committed before the answer, {title}"))
            progress(f"holding, {title}")
            rates.append(await _held(books, orgs, f"{_HELD}{title}"))
    return rates


@asynccontextmanager
async def _opened(
    owner_url: str, url: str, folder: Path
) -> AsyncIterator[tuple[asyncpg.Connection, Database, ProcessBooks]]:
    owner = await asyncpg.connect(owner_url)
    database = await Database.connect(dict.fromkeys((Role.APP, Role.METER, Role.KEEPER), url))
    books = ProcessBooks(database, folder, folder / "journal", SystemClock(), uuid7, _nobody)
    await books.start()
    try:
        yield owner, database, books
    finally:
        await books.stop(30.0)
        await database.close()
        await owner.close()


async def _journaled(books: ProcessBooks, orgs: list[UUID], title: str) -> Rate:
    """From the lease to the end on the disk, which those who wait at the time share."""
    calls = iter([_call(orgs[number % len(orgs)]) for number in range(CALLS)])
    started, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_work(books, calls) for _ in range(_CALLERS)))
    return _rate(title, CALLS, started, busy)


async def _work(books: ProcessBooks, calls: Iterator[MeteredCall]) -> None:
    for call in calls:
        hold = await _reserve(books, call)
        books.calls.open(hold, call.id, _detail(call), provider="bench", prompt_tokens=10, price=_PRICE, profile="")
        await books.calls.settle(hold, call)


async def _committed(database: Database, folder: Path, orgs: list[UUID], title: str) -> Rate:
    """The same for hosts without a disk of their own: an end is in the database before its caller goes on."""
    books = ProcessBooks(database, folder, folder / "journal", SystemClock(), uuid7, _nobody, journal=IN_DATABASE)
    await books.start()
    loops = [asyncio.ensure_future(_again(loop)) for loop in books.loops() if loop.name in {"flush", "journal"}]
    calls = iter([_call(orgs[number % len(orgs)]) for number in range(COMMITTED)])
    started, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_work(books, calls) for _ in range(_CALLERS)))
    rate = _rate(title, COMMITTED, started, busy)
    for loop in loops:
        loop.cancel()
    await books.stop(30.0)
    return rate


async def _again(loop: Loop) -> None:
    while True:
        await loop.run()
        await asyncio.sleep(loop.seconds)


async def _flushed(books: ProcessBooks, title: str) -> Rate:
    """What was journaled comes into the database: events, draws, buckets, outbox."""
    started, busy = time.perf_counter(), time.process_time()
    assert await books.flush(120.0) == 0, "the database is there"
    return _rate(title, CALLS, started, busy)


async def _held(books: ProcessBooks, orgs: list[UUID], title: str) -> Rate:
    calls = iter([_call(orgs[number % len(orgs)]) for number in range(PAIRS)])

    async def work() -> None:
        for call in calls:
            hold = await books.holds.open(
                org_id=call.org_id,
                call_id=call.id,
                model_id=_MODEL,
                amount=1000,
                expire_time=call.create_time + timedelta(hours=1),
                detail=_detail(call),
            )
            await books.calls.settle(hold, call)

    started, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(_WRITERS)))
    return _rate(title, PAIRS, started, busy)


def _rate(title: str, calls: int, started: float, busy: float) -> Rate:
    spent = time.process_time() - busy
    return Rate(title, calls / (time.perf_counter() - started), spent / calls * 1e6)


async def _reserve(books: ProcessBooks, call: MeteredCall) -> Hold:
    taken = books.reservations.take(call.org_id, call.id, _MODEL, 1000)
    return taken or await books.reservations.open(
        org_id=call.org_id,
        call_id=call.id,
        model_id=_MODEL,
        amount=1000,
        expire_time=call.create_time + timedelta(hours=1),
        detail=_detail(call),
    )


def _detail(call: MeteredCall) -> HoldDetail:
    return HoldDetail(_MODEL, call.key_id, None, call.request_id, False, call.create_time)


def _call(org_id: UUID) -> MeteredCall:
    return MeteredCall(
        id=uuid7(),
        org_id=org_id,
        key_id=org_id,
        user_id=None,
        model_id=_MODEL,
        provider="bench",
        provider_call_id="chatcmpl-0123456789",
        request_id="req_01m80n5tgjervtbch2y0r1gaya",
        attempt=1,
        create_time=datetime.now(UTC),
        duration_ms=20,
        first_token_ms=5,
        streamed=False,
        ending=COMPLETE,
        estimated=False,
        tokens=TokenCounts(input=100, output=20),
        price=_PRICE,
        raw_usage=b'{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}',
        http_status=200,
    )


async def _nobody() -> None:
    """There is no other process to tell."""
