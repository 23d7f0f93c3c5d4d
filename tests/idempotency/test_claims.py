"""Claims over a real database and a clock that tests move: who may run a call, and for how long it is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest

from server.billing.reversals import give_up
from server.foundation.ids import uuid7
from server.foundation.secrets import Pepper
from server.rpc.context import CallContext
from server.rpc.errors import InternalError
from server.rpc.idempotency import caller_key, store
from server.rpc.idempotency.claims import Claim, Claims
from server.rpc.idempotency.errors import InFlightError, MismatchError
from server.rpc.idempotency.outcome import Outcome, unseal
from server.rpc.principal import Origin
from server.storage.database import Database, Role
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase

PEPPER: Final = Pepper(b"p" * 32)
ORGANIZATION, OTHER = UUID(int=1), UUID(int=2)
METHOD: Final = "/a.B/C"
BODY, ANOTHER_BODY = b"1" * 32, b"2" * 32
LIFE: Final = timedelta(hours=24)


class Graveyard:
    """Processes that are known to be dead."""

    def __init__(self) -> None:
        self.dead: set[UUID] = set()

    async def has_ended(self, process_id: UUID) -> bool:
        return process_id in self.dead


class Bench:
    """Processes over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock()
        self.graveyard = Graveyard()

    def process(self) -> tuple[UUID, Claims]:
        """A new one."""
        process_id = uuid7()
        claims = Claims(self.database, self.clock, uuid7, process_id, self.graveyard, give_up, LIFE)
        return process_id, claims

    async def reversals(self) -> set[UUID]:
        """Runs whose charge is to be taken back."""
        async with self.database.privileged(Role.KEEPER) as transaction:
            return {row[0] for row in await transaction.fetch("SELECT usage_event_id FROM call_reversal")}

    async def remembered(self) -> int:
        """How many calls there are."""
        async with self.database.privileged(Role.KEEPER) as transaction:
            found: int = await transaction.fetchval("SELECT count(*) FROM idempotent_call")
            return found


@asynccontextmanager
async def opened(database: TestDatabase) -> AsyncIterator[Bench]:
    """A bench, and its connections' end."""
    connected = await Database.connect({Role.APP: database.url, Role.KEEPER: database.url})
    try:
        yield Bench(connected)
    finally:
        await connected.close()


@pytest.fixture
async def bench(database: TestDatabase) -> AsyncIterator[Bench]:
    async with opened(database) as made:
        yield made


def key(text: str = "k", org_id: UUID = ORGANIZATION, method: str = METHOD) -> caller_key.CallerKey:
    """A caller's key."""
    return caller_key.derive(PEPPER, org_id, method, text)


def answered(text: bytes) -> Outcome:
    """The outcome of a call that answered so."""
    return Outcome.of(CallContext(METHOD, Origin("", "grpc", "req_1"), {}), [text])


async def run(claims: Claims, which: caller_key.CallerKey, answer: bytes, *, metered: bool = False) -> None:
    """One whole run."""
    claim = await claims.take(which, which.fingerprint(BODY), metered=metered)
    assert isinstance(claim, Claim)
    await claims.keep(claim, answered(answer))
    claims.end(claim)


async def test_a_call_is_remembered_for_a_day_and_not_longer(bench: Bench) -> None:
    _, claims = bench.process()
    await run(claims, key(), b"first")
    bench.clock.advance(LIFE.total_seconds() - 1)
    again = await claims.take(key(), key().fingerprint(BODY), metered=False)
    assert isinstance(again, Outcome)
    assert again.messages == [b"first"]
    bench.clock.advance(1)
    await run(claims, key(), b"second")
    third = await claims.take(key(), key().fingerprint(BODY), metered=False)
    assert isinstance(third, Outcome)
    assert third.messages == [b"second"]


async def test_what_is_past_its_time_is_swept(bench: Bench) -> None:
    _, claims = bench.process()
    await run(claims, key("new"), b"x")
    async with bench.database.tenant(ORGANIZATION) as transaction:
        await transaction.execute("UPDATE idempotent_call SET expire_time = now() - interval '1 second'")
    bench.clock.advance(-1)
    async with bench.database.privileged(Role.KEEPER) as transaction:
        await store.sweep(transaction)
    assert await bench.remembered() == 0


@pytest.mark.parametrize(
    "other", [key("k", OTHER), key("k", method="/a.B/D"), key("K"), key("k ")], ids=["org", "method", "case", "space"]
)
async def test_each_scope_and_key_is_a_call_of_its_own(bench: Bench, other: caller_key.CallerKey) -> None:
    _, claims = bench.process()
    await run(claims, key(), b"mine")
    await run(claims, other, b"theirs")
    assert await bench.remembered() == 2


async def test_a_run_under_way_is_in_flight_for_everybody(bench: Bench) -> None:
    _, claims = bench.process()
    _, others = bench.process()
    claim = await claims.take(key(), key().fingerprint(BODY), metered=True)
    assert isinstance(claim, Claim)
    for process in (claims, others):
        with pytest.raises(InFlightError):
            await process.take(key(), key().fingerprint(BODY), metered=True)
        with pytest.raises(MismatchError):
            await process.take(key(), key().fingerprint(ANOTHER_BODY), metered=True)
    bench.clock.advance(3600)
    with pytest.raises(InFlightError):
        await others.take(key(), key().fingerprint(BODY), metered=True)
    assert await bench.reversals() == set()


async def test_a_dead_process_gives_way_once_and_its_run_is_taken_back(bench: Bench) -> None:
    dead, claims = bench.process()
    _, others = bench.process()
    before = await claims.take(key(), key().fingerprint(BODY), metered=True)
    assert isinstance(before, Claim)
    bench.graveyard.dead.add(dead)
    tries = [others.take(key(), key().fingerprint(BODY), metered=True) for _ in range(10)]
    came = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(one) for one in came].count(Claim) == 1
    assert [type(one) for one in came].count(InFlightError) == 9
    assert await bench.reversals() == {before.run_id}
    with pytest.raises(InFlightError):
        await claims.keep(before, answered(b"too late"))


async def test_a_run_that_its_own_process_lost_gives_way_too(bench: Bench) -> None:
    _, claims = bench.process()
    lost = await claims.take(key(), key().fingerprint(BODY), metered=True)
    assert isinstance(lost, Claim)
    claims.end(lost)
    assert isinstance(await claims.take(key(), key().fingerprint(BODY), metered=True), Claim)
    assert await bench.reversals() == {lost.run_id}


@pytest.mark.parametrize("free", [Claims.release, Claims.give_up], ids=["released", "given up"])
async def test_a_free_key_is_anybodys(bench: Bench, free: Callable[[Claims, Claim], object]) -> None:
    _, claims = bench.process()
    _, others = bench.process()
    claim = await claims.take(key(), key().fingerprint(BODY), metered=True)
    assert isinstance(claim, Claim)
    await free(claims, claim)  # type: ignore[misc]
    claims.end(claim)
    assert await bench.reversals() == ({claim.run_id} if free is Claims.give_up else set())
    assert isinstance(await others.take(key(), key().fingerprint(ANOTHER_BODY), metered=True), Claim)


async def test_an_outcome_opens_in_its_place_only(bench: Bench) -> None:
    _, claims = bench.process()
    await run(claims, key("a"), b"of a")
    await run(claims, key("b"), b"of b")
    async with bench.database.tenant(ORGANIZATION) as transaction:
        row = await store.get(transaction, key("a"))
    assert row is not None
    assert b"of a" not in row["outcome"]
    for other in (key("b"), key("a", OTHER), key("a", method="/a.B/D")):
        with pytest.raises(InternalError):
            unseal(row["outcome"], other)
    wrong_pepper = caller_key.derive(Pepper(b"q" * 32), ORGANIZATION, METHOD, "a")
    with pytest.raises(InternalError):
        unseal(row["outcome"], wrong_pepper)
