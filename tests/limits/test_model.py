"""The engine against a reference that counts naively: whatever is done in whatever order, they decide alike."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from server.foundation.windows import Span, window
from server.limits.errors import LimitExceededError
from server.limits.gate import Admission
from server.limits.limits import Per
from tests.limits.engine import Engine, open_engine, requests, slots, tended, tokens

ZONE: Final = ZoneInfo("America/New_York")
BEGIN: Final = datetime(2026, 10, 31, 22, tzinfo=UTC)
_DAY, _MONTH, _SLOTS = 60, 900, 5
_MINUTE: Final = 30


@dataclass
class Reference:
    """One list of what happened; sums are taken over it each time."""

    now: float = BEGIN.timestamp()
    calls: list[tuple[float, int]] = field(default_factory=list)
    """When it was let through, and the tokens that it is charged: worst case until it is settled."""
    running: set[int] = field(default_factory=set)

    def admits(self, cost: int) -> bool:
        requests_a_day = sum(1 for time, _ in self.calls if self._within(Span.DAY, time))
        tokens_a_month = sum(charged for time, charged in self.calls if self._within(Span.MONTH, time))
        return requests_a_day < _DAY and tokens_a_month + cost <= _MONTH and len(self.running) < _SLOTS

    def flows(self, slack: float) -> bool:
        """Whether a request of the minute's limit is free: GCRA as a theoretical arrival time."""
        arrival, spacing = 0.0, 60 / _MINUTE
        for time, _ in self.calls:
            arrival = max(arrival, time) + spacing
        return max(arrival, self.now + slack) + spacing - (self.now + slack) <= 60 + 1e-6

    def _within(self, span: Span, time: float) -> bool:
        here = window(span, datetime.fromtimestamp(self.now, UTC), ZONE)
        return here.start.timestamp() <= time < here.end.timestamp()


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 2), st.integers(1, 60)),
        st.tuples(st.just("burst"), st.integers(0, 2), st.integers(1, 25)),
        st.tuples(st.just("end"), st.integers(0, 30), st.integers(0, 80)),
        st.tuples(st.just("wait"), st.sampled_from([1, 7, 40, 600, 3600, 6 * 3600, 86_400]), st.just(0)),
    ),
    min_size=1,
    max_size=25,
)


class _Run:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        limits = (requests(Per.DAY, _DAY), tokens(Per.MONTH, _MONTH), slots(_SLOTS), requests(Per.MINUTE, _MINUTE))
        self.gates = engine.gates(*limits, zone=ZONE)
        self.reference = Reference()
        self.open: dict[int, Admission] = {}

    async def call(self, process: int, cost: int) -> bool:
        """Whether it was let through, which it is exactly where the reference lets it.

        Close to where the minute's limit turns, either is right: real time passes here and not there.
        """
        expected = self.reference.admits(cost)
        early, late = self.reference.flows(-0.5), self.reference.flows(2.0)
        try:
            admission = await self.gates[process].admit(cost)
        except LimitExceededError:
            assert not (expected and early and late), (self.reference, cost)
            return False
        assert expected, (self.reference, cost)
        assert early or late, (self.reference, cost)
        self.open[len(self.reference.calls)] = admission
        self.reference.running.add(len(self.reference.calls))
        self.reference.calls.append((self.reference.now, cost))
        return True

    def end(self, number: int, used: int) -> None:
        """One of the running calls ends, having used more or fewer tokens than it was charged."""
        if not self.open:
            return
        index = sorted(self.open)[number % len(self.open)]
        admission = self.open.pop(index)
        admission.settle(used)
        admission.release()
        self.reference.running.discard(index)
        time, _ = self.reference.calls[index]
        self.reference.calls[index] = (time, used)

    async def wait(self, seconds: float) -> None:
        """Time passes; what runs is renewed as it does."""
        for _ in range(3):
            await self.engine.tend()
        # Calls that run are no shorter for it, their processes live on.
        for step in range(int(min(seconds, 3600)) // 5 + 1 if self.open else 1):
            part = min(5.0, seconds - step * 5) if self.open and seconds <= 600 else seconds
            self.engine.pass_time(max(0.0, part))
            await self.engine.tend()
            if part == seconds:
                break
        self.reference.now += seconds


@settings(
    deadline=None,
    max_examples=60,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=_STEPS)
def test_it_decides_as_the_reference_does(valkey_url: str, steps: list[tuple[str, int, int]]) -> None:
    async def run() -> None:
        async with open_engine(valkey_url, 3) as engine:
            engine.go_to(BEGIN)
            model = _Run(engine)
            for kind, first, second in steps:
                if kind == "wait" and first > 600:
                    # Nobody's call lasts for hours, and a process that is not tended for so long is dead.
                    for number in range(len(model.open)):
                        model.end(number, 10)
                if kind == "wait":
                    await model.wait(first)
                elif kind == "end":
                    model.end(first, second)
                    await engine.tend()
                elif kind == "call":
                    async with tended(engine, but=engine.limiters[first]):
                        await model.call(first, second)
                else:
                    async with tended(engine, but=engine.limiters[first]):
                        for _ in range(second):
                            # What another process gives back is told a moment later, so only its own call ends.
                            if await model.call(first, 5):
                                model.end(len(model.open) - 1, 5)
                    await engine.tend()

    asyncio.run(run())
