"""Any history of claims agrees with a model of it: one run at a time, one outcome a key, nothing forgotten early."""

from __future__ import annotations

import asyncio
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.rpc.idempotency.claims import Claim, Claims
from server.rpc.idempotency.errors import InFlightError, MismatchError
from server.rpc.idempotency.outcome import Outcome, read_metadata, unseal
from tests.idempotency.test_claims import ANOTHER_BODY, BODY, LIFE, Bench, answered, key, opened
from tests.support.databases import TestDatabase

KEYS = ("a", "b")
STEP = st.one_of(
    st.tuples(st.just("take"), st.sampled_from(KEYS), st.integers(0, 2), st.sampled_from((BODY, ANOTHER_BODY))),
    st.tuples(st.sampled_from(["keep", "release", "lose"]), st.sampled_from(KEYS), st.just(0), st.just(BODY)),
    st.tuples(st.sampled_from(["die", "half a life"]), st.just("a"), st.integers(0, 2), st.just(BODY)),
)


class Model:
    """What should be remembered of each key: whose body, until when, which run of which process, and its answer."""

    def __init__(self) -> None:
        self.body: dict[str, bytes] = {}
        self.ends: dict[str, float] = {}
        self.answer: dict[str, bytes | None] = {}
        self.running: dict[str, tuple[int, Claim] | None] = {}
        self.lost: set[str] = set()
        """Whose run is over without a word: its process knows that, and others once that process is dead."""

    def expected(self, name: str, number: int, body: bytes, now: float) -> str:
        """What taking a key in a process comes to."""
        if name not in self.body or self.ends[name] <= now:
            return "claim"
        if self.body[name] != body:
            return "mismatch"
        if self.answer[name] is not None:
            return "outcome"
        running = self.running[name]
        if running is None or (name in self.lost and running[0] == number):
            return "claim"
        return "in flight"


class History:
    """Three processes that do as told, beside the model."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.model = Model()
        self.now = 0.0
        self.processes: list[tuple[UUID, Claims]] = [bench.process() for _ in range(3)]
        self.count = 0

    async def step(self, what: str, name: str, number: int, body: bytes) -> None:
        """One step on both sides."""
        if what == "take":
            await self._take(name, number, body)
        elif what == "half a life":
            self.now += LIFE.total_seconds() / 2
            self.bench.clock.advance(LIFE.total_seconds() / 2)
        elif what == "die":
            self._die(number)
        elif self.model.running.get(name) is not None and name not in self.model.lost:
            await self._end(what, name)

    async def _take(self, name: str, number: int, body: bytes) -> None:
        expected = self.model.expected(name, number, body, self.now)
        caller = key(name)
        try:
            found = await self.processes[number][1].take(caller, caller.fingerprint(body), metered=True)
        except MismatchError:
            assert expected == "mismatch"
            return
        except InFlightError:
            assert expected == "in flight"
            return
        if isinstance(found, Outcome):
            assert expected == "outcome"
            assert found.messages == [self.model.answer[name]]
            return
        assert expected == "claim"
        self.model.body[name], self.model.answer[name] = body, None
        self.model.ends[name] = self.now + LIFE.total_seconds()
        self.model.running[name] = (number, found)
        self.model.lost.discard(name)

    async def _end(self, what: str, name: str) -> None:
        running = self.model.running[name]
        assert running is not None
        number, claim = running
        claims = self.processes[number][1]
        if what == "keep":
            self.count += 1
            answer = str(self.count).encode()
            await claims.keep(claim, answered(answer))
            self.model.answer[name] = answer
        elif what == "release":
            await claims.release(claim)
            del self.model.body[name]
        claims.end(claim)
        if what == "lose":
            self.model.lost.add(name)
        else:
            self.model.running[name] = None

    def _die(self, number: int) -> None:
        self.bench.graveyard.dead.add(self.processes[number][0])
        self.processes[number] = self.bench.process()
        for name, running in self.model.running.items():
            if running is not None and running[0] == number:
                self.model.running[name] = None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, min_size=5, max_size=25))
def test_any_history_of_claims_agrees_with_a_model(
    database: TestDatabase, steps: list[tuple[str, str, int, bytes]]
) -> None:
    async def play() -> None:
        async with opened(database) as bench:
            async with bench.database.tenant(UUID(int=1)) as transaction:
                await transaction.execute("DELETE FROM idempotent_call")
            history = History(bench)
            for step in steps:
                await history.step(*step)

    asyncio.run(play())


@given(
    st.lists(st.binary(max_size=50), max_size=5),
    st.lists(st.tuples(st.sampled_from(["a", "b-bin"]), st.text(max_size=20)), max_size=5),
    st.binary(max_size=20),
    st.booleans(),
    st.integers(0, 2**62),
)
def test_what_is_kept_comes_back_as_it_was(
    messages: list[bytes], pairs: list[tuple[str, str]], status: bytes, too_large: bool, charged: int
) -> None:
    metadata = [(name, text.encode()) for name, text in pairs]
    kept = Outcome(messages, metadata, metadata, status, too_large, charged)
    assert unseal(kept.seal(key()), key()) == kept
    expected = [(name, text.encode() if name == "b-bin" else text) for name, text in pairs]
    assert read_metadata(kept.initial) == expected
