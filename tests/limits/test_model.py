"""The engine against a reference that counts naively: whatever is done in whatever order, they decide alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.foundation.windows import Span, window
from server.limits.errors import LimitExceededError
from server.limits.gate import Admission
from server.limits.limits import Per, Unit
from server.limits.rebuilding import WantedSum
from tests.limits.engine import Engine, open_engine, requests, slots, tended, tokens

ZONE: Final = ZoneInfo("America/New_York")
BEGIN: Final = datetime(2026, 10, 31, 22, tzinfo=UTC)
_DAY, _MONTH, _SLOTS = 60, 900, 5
_MINUTE: Final = 30
_TRIES: Final = 20
_STEP_SECONDS: Final = 3.0
"""As slices last for longer, and slots do."""
_LATE_SECONDS: Final = 8.0
"""So long a call may be unknown to Valkey, steps included."""


@dataclass
class Reference:
    """One list of what happened; sums are taken over it each time. It is also what the usage records say."""

    calls: list[tuple[float, float, int]] = field(default_factory=list)
    """Between which moments it was let through, and the tokens that it is charged: worst case until it is settled."""
    running: set[int] = field(default_factory=set)

    def admits(self, now: float, cost: int) -> bool:
        requests_a_day = len(self._within(Span.DAY, now))
        tokens_a_month = sum(self._within(Span.MONTH, now))
        return requests_a_day < _DAY and tokens_a_month + cost <= _MONTH and len(self.running) < _SLOTS

    def flows(self, now: float, late: float | None = None) -> bool:
        """Whether a request of the minute's limit is free: GCRA as a theoretical arrival time. `late`: seconds by which
        each call was told too late; None: as early as it can have been."""
        arrival, spacing = 0.0, 60 / _MINUTE
        for first, last, _ in self.calls:
            arrival = max(arrival, first if late is None else min(last + late, now)) + spacing
        return max(arrival, now) + spacing - now <= 60 + 1e-3

    async def used(self, _org_id: UUID, wanted: Sequence[WantedSum]) -> Sequence[int]:
        ended = [call for number, call in enumerate(self.calls) if number not in self.running]
        return [
            sum(
                charged if want.unit is Unit.TOKENS else 1
                for time, _, charged in ended
                if want.start.timestamp() <= time < want.end.timestamp()
            )
            for want in wanted
        ]

    def _within(self, span: Span, now: float) -> list[int]:
        here = window(span, datetime.fromtimestamp(now, UTC), ZONE)
        return [charged for time, _, charged in self.calls if here.start.timestamp() <= time < here.end.timestamp()]


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
    def __init__(self, engine: Engine, reference: Reference) -> None:
        self.engine = engine
        limits = (requests(Per.DAY, _DAY), tokens(Per.MONTH, _MONTH), slots(_SLOTS), requests(Per.MINUTE, _MINUTE))
        self.gates = engine.gates(*limits, zone=ZONE)
        self.reference = reference
        self.open: dict[int, Admission] = {}

    async def call(self, process: int, cost: int) -> bool:
        """Whether it was let through, which it never is where the reference does not let it.

        Where the reference does, it is after a few tries at most: each waits for what others hold, but a busy machine
        may keep them from giving it back. A minute's limit may be a little strict: units flow back once they are told.
        """
        before = self.engine.now
        expected = self.reference.admits(before, cost)
        for _ in range(_TRIES):
            due = expected and self.reference.flows(self.engine.now, _LATE_SECONDS)
            try:
                admission = await self.gates[process].admit(cost)
            except LimitExceededError:
                if due:
                    continue
                return False
            after = self.engine.now
            assert expected, ("let through", self.reference, cost)
            assert self.reference.flows(after), ("let through", self.reference, cost, after)
            self.open[len(self.reference.calls)] = admission
            self.reference.running.add(len(self.reference.calls))
            self.reference.calls.append((before, after, cost))
            return True
        raise AssertionError(("refused", self.reference, cost, before, self.gates[process].states()))

    def end(self, number: int, used: int) -> None:
        """One of the running calls ends, having used more or fewer tokens than it was charged."""
        if not self.open:
            return
        index = sorted(self.open)[number % len(self.open)]
        admission = self.open.pop(index)
        admission.settle(used)
        admission.release()
        self.reference.running.discard(index)
        first, last, _ = self.reference.calls[index]
        self.reference.calls[index] = (first, last, used)

    async def wait(self, seconds: float) -> None:
        """Time passes; what is held is renewed as it does, and goes back after a minute."""
        await self.engine.tend()
        while seconds > 0:
            part = min(_STEP_SECONDS, seconds) if self.engine.holds else seconds
            self.engine.pass_time(part)
            await self.engine.tend()
            seconds -= part
        # Offsets are whole milliseconds: no call falls between two days.
        self.engine.pass_time(0.005)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=_STEPS)
def test_it_decides_as_the_reference_does(valkey_url: str, steps: list[tuple[str, int, int]]) -> None:
    async def run() -> None:
        reference = Reference()
        async with open_engine(valkey_url, 3, reference) as engine:
            engine.go_to(BEGIN)
            model = _Run(engine, reference)
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
