"""Hours, days and months begin when the organization's zone says so, once, by Valkey's clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from server.limits.errors import LimitExceededError
from server.limits.limits import Per
from tests.limits.engine import Engine, admitted, requests, slots, tended, tokens, until

_MANY = 1000
"""Calls of which enough come after the last step, however slow the machine is."""

# (zone, a moment at which a day begins there, hours of the day before, hours of the day after)
_MIDNIGHTS = [
    ("Asia/Kolkata", datetime(2026, 11, 21, 18, 30, tzinfo=UTC), 24, 24),
    ("Asia/Kathmandu", datetime(2026, 11, 21, 18, 15, tzinfo=UTC), 24, 24),
    ("America/New_York", datetime(2026, 3, 8, 5, 0, tzinfo=UTC), 24, 23),
    ("America/New_York", datetime(2026, 3, 9, 4, 0, tzinfo=UTC), 23, 24),
    ("America/New_York", datetime(2026, 11, 1, 4, 0, tzinfo=UTC), 24, 25),
    ("America/New_York", datetime(2026, 11, 2, 5, 0, tzinfo=UTC), 25, 24),
]


@pytest.mark.parametrize(("zone", "midnight", "before", "after"), _MIDNIGHTS)
async def test_a_day_lasts_from_midnight_to_midnight_in_the_zone(
    three: Engine, zone: str, midnight: datetime, before: int, after: int
) -> None:
    gates = three.gates(requests(Per.DAY, 4), tokens(Per.DAY, 1000), zone=ZoneInfo(zone))
    # The first and the last minute of the day before are the same day.
    three.go_to(until(midnight, 60 - before * 3600))
    assert len(await admitted(gates[0], 2, 10)) == 2
    three.go_to(until(midnight, -60))
    results = [len(await admitted(gate, 2, 10)) for gate in gates]
    assert results == [2, 0, 0]
    with pytest.raises(LimitExceededError) as refused:
        await gates[1].admit(10)
    assert refused.value.retry_after == pytest.approx(60, abs=5)
    three.go_to(until(midnight, 1))
    assert [len(await admitted(gate, 2, 10)) for gate in reversed(gates)] == [2, 2, 0]
    three.go_to(until(midnight, after * 3600 - 60))
    assert [len(await admitted(gate, 1, 10)) for gate in gates] == [0, 0, 0]
    three.go_to(until(midnight, after * 3600 + 1))
    assert len(await admitted(gates[2], 5, 10)) == 4


async def test_midnight_passes_once_while_three_processes_call(three: Engine) -> None:
    midnight = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
    gates = three.gates(requests(Per.DAY, 30), requests(Per.MONTH, 1000), zone=ZoneInfo("Asia/Kolkata"))
    three.go_to(until(midnight, -3600))
    through: list[int] = []
    left = [30]

    async def call(number: int) -> None:
        """Calls until the allowance is used up, and a few times after."""
        for _ in range(_MANY):
            through.extend([number] * len(await admitted(gates[number], 1)))
            if len(through) >= left[0]:
                break
            await asyncio.sleep(0)
        for _ in range(3):
            through.extend([number] * len(await admitted(gates[number], 1)))

    async with tended(three):
        await asyncio.gather(*(call(number) for number in range(3)))
        assert len(through) == 30, "the day before"
        # Midnight passes while all three call, in steps that none of them is told of.
        left[0] = 60
        calling = asyncio.gather(*(call(number) for number in range(3)))
        for seconds in (-0.2, -0.05, 0.01, 0.1, 1, 3600, 7200):
            three.go_to(until(midnight, seconds))
            await asyncio.sleep(0.01)
        await calling
    # Once before and once after: a second reset would let 90 through.
    assert len(through) == 60


async def test_months_roll_over_once(engine: Engine) -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    gate = engine.gate(tokens(Per.MONTH, 100), zone=zone)
    engine.go_to(datetime(2026, 10, 31, 18, 14, 30, tzinfo=UTC))
    assert len(await admitted(gate, 9, 20)) == 5
    engine.go_to(datetime(2026, 10, 31, 18, 15, tzinfo=UTC))
    assert len(await admitted(gate, 9, 20)) == 5
    engine.go_to(datetime(2026, 11, 30, 18, 14, 30, tzinfo=UTC))
    assert len(await admitted(gate, 9, 20)) == 0


async def test_hours_begin_on_the_full_hour_of_the_zone(engine: Engine) -> None:
    gate = engine.gate(requests(Per.HOUR, 1000), zone=ZoneInfo("Asia/Kathmandu"))
    engine.go_to(datetime(2026, 11, 21, 12, 14, 59, tzinfo=UTC))
    assert gate.counters[0].bounds == (0, 0, 0)
    call = await gate.admit()
    assert call.states()[0].reset_after == pytest.approx(1, abs=0.5)
    engine.go_to(datetime(2026, 11, 21, 12, 15, 1, tzinfo=UTC))
    again = await gate.admit()
    assert again.states()[0].remaining == 999
    assert again.states()[0].reset_after == pytest.approx(3599, abs=2)


async def test_a_caller_whose_clock_is_wrong_by_days_is_told_so_and_counts_right(three: Engine) -> None:
    # The processes believe in noon of 21 November; Valkey is elsewhere, and only its time counts.
    gates = three.gates(requests(Per.DAY, 3))
    for moment in (datetime(2027, 1, 5, 23, 59, tzinfo=UTC), datetime(2026, 2, 1, 0, 1, tzinfo=UTC)):
        three.go_to(moment)
        assert sum([len(await admitted(gate, 2)) for gate in gates]) == 3


async def test_what_was_charged_yesterday_is_given_back_to_yesterday(engine: Engine) -> None:
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    gate = engine.gate(tokens(Per.DAY, 100), slots(5))
    engine.go_to(until(midnight, -5))
    old = await gate.admit(100)
    engine.go_to(until(midnight, 5))
    new = await gate.admit(100)
    old.settle(0)
    old.release()
    await engine.tend()
    with pytest.raises(LimitExceededError):
        await gate.admit(1)
    new.settle(99)
    assert len(await admitted(gate, 1, 1)) == 1
    engine.go_to(until(midnight, -4))
    assert len(await admitted(gate, 1, 100)) == 1


async def test_what_the_first_call_of_a_day_took_is_renewed_while_it_runs(three: Engine) -> None:
    here, there, _ = three.gates(tokens(Per.DAY, 100))
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    three.go_to(until(midnight, -60))
    await here.look()
    # Another has called in the new day; here only Valkey knows of it.
    three.go_to(until(midnight, 1))
    await there.look()
    running = await here.admit(100)
    for _ in range(30):
        three.pass_time(2)
        await three.tend()
        assert await admitted(there, 1, 1) == []
    running.settle(90)


async def test_no_slice_outlives_its_window(engine: Engine) -> None:
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    gate = engine.gate(requests(Per.DAY, 1000))
    engine.go_to(until(midnight, -0.5))
    await admitted(gate, 20)
    assert gate.take() is not None, "a slice is held"
    share = gate.counters[0].share
    assert share.good_until <= engine.clock.monotonic() + 0.5
    engine.pass_time(0.5)
    assert gate.take() is None
    call = await gate.admit()
    assert call.states()[0].remaining == 999
