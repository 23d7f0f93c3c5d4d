"""What a process holds ahead of need: fast while plenty is left, exact when it is not, and never lost for good."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest

from server.limits.errors import LimitExceededError
from server.limits.limits import Per
from server.limits.script import PULSE_SECONDS
from server.limits.shares import LIFE_SECONDS
from tests.limits.engine import UTC_ZONE, Engine, admitted, open_engine, requests, slots, tended, tokens


async def _commands(engine: Engine) -> int:
    """Scripts that Valkey ran."""
    stats = await engine.valkey.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


async def test_a_busy_process_decides_in_memory_while_plenty_is_left(engine: Engine) -> None:
    gate = engine.gate(requests(Per.MINUTE, 100_000), requests(Per.DAY, 10**6), tokens(Per.DAY, 10**9), slots(1000))
    for _ in range(20):
        (await gate.admit(100)).release()
    await engine.tend()
    before = await _commands(engine)
    for _ in range(20):
        call = gate.take(100)
        assert call is not None
        call.settle(10)
        call.release()
    assert await _commands(engine) == before
    assert gate.states()[1].remaining == 10**6 - 40


async def test_a_rare_caller_asks_once_and_decides_in_memory(engine: Engine) -> None:
    gate = engine.gate(requests(Per.MINUTE, 10**6), requests(Per.DAY, 10**6), tokens(Per.DAY, 10**9), slots(1000))
    (await gate.admit(100)).release()
    for _ in range(20):
        for _ in range(20):
            engine.pass_time(0.5)
            await engine.tend()
        call = gate.take(100)
        assert call is not None, "one call in ten seconds"
        call.settle(10)
        call.release()
    assert [state.remaining for state in await gate.look()][1:] == [10**6 - 21, 10**9 - 300, 1000]


async def test_where_little_is_left_nothing_is_held(three: Engine) -> None:
    here, there, _ = three.gates(slots(3), requests(Per.DAY, 10**6))
    for gate in (here, there, here, there):
        (await gate.admit()).release()
        await three.tend()
        assert gate.counters[0].share.free == 0
        assert gate.counters[1].share.free > 0


async def test_many_organizations_report_in_few_round_trips(engine: Engine) -> None:
    limiter, limits = engine.limiters[0], [requests(Per.DAY, 1000), slots(100)]
    gates = [limiter.gate(uuid4(), UTC_ZONE, limits) for _ in range(100)]
    calls = [await gate.admit() for gate in gates]
    engine.pass_time(2)
    before = limiter.script.round_trips
    await limiter.tend()
    assert limiter.script.round_trips - before < 10
    for gate, call in zip(gates, calls, strict=True):
        call.release()
        assert [state.remaining for state in await gate.look()] == [999, 100]


async def test_a_slice_goes_back_when_it_is_idle(three: Engine) -> None:
    here, there, _ = three.gates(requests(Per.DAY, 200))
    await admitted(here, 20)
    assert here.counters[0].share.free > 0
    for _ in range(32):
        three.pass_time(2)
        await three.tend()
    assert here.counters[0].share.free == 0
    # No tending any more: nothing is recalled, and nothing need be.
    assert len(await admitted(there, 200)) == 180


async def test_a_slice_is_not_used_past_its_time(engine: Engine) -> None:
    gate = engine.gate(requests(Per.DAY, 10_000))
    await admitted(gate, 20)
    assert gate.take() is not None
    engine.clock.advance(PULSE_SECONDS)
    assert gate.take() is None


async def test_the_limit_is_exact_while_three_processes_hold_slices(three: Engine) -> None:
    gates = three.gates(requests(Per.DAY, 500), requests(Per.MINUTE, 100_000))
    async with tended(three):
        through = [0, 0, 0]

        async def call(number: int) -> None:
            while await admitted(gates[number], 1):
                through[number] += 1

        await asyncio.gather(*(call(number % 3) for number in range(30)))
    assert sum(through) == 500
    assert min(through) > 20, "nobody starved"


async def test_a_slice_elsewhere_is_called_back_for_who_is_short(three: Engine) -> None:
    here, there, _ = three.gates(requests(Per.DAY, 300))
    await admitted(here, 20)
    held = here.counters[0].share.free
    assert held > 0
    async with tended(three):
        assert len(await admitted(there, 290)) == 280
    # Without anybody to give it back, the limit is not crossed for its sake.
    assert here.counters[0].share.free == 0


async def test_who_does_not_give_back_does_not_make_the_limit_grow(three: Engine) -> None:
    here, there, _ = three.gates(requests(Per.DAY, 100))
    await admitted(here, 10)
    held = here.counters[0].share.free
    assert held > 0
    assert len(await admitted(there, 89 - held)) == 89 - held
    through = len(await admitted(there, 1)) + len(await admitted(there, 1))
    assert through == 1


@pytest.mark.parametrize("spent", [0, 1])
async def test_what_a_dead_process_held_stays_counted_until_the_records_tell_what_it_used(
    valkey_url: str, spent: int
) -> None:
    async with open_engine(valkey_url, 2) as engine:
        dead, alive = engine.gates(requests(Per.DAY, 100), tokens(Per.DAY, 10_000))
        calls = await admitted(dead, 10, 100)
        held = dead.counters[0].share.free
        assert held > spent
        for _ in range(spent):
            assert dead.take(100) is not None
        # Here it dies: nobody hears of it again.
        assert len(await admitted(alive, 5, 100)) == 5
        await engine.limiters[1].tend()
        engine.pass_time(LIFE_SECONDS + 1)
        await engine.limiters[1].tend()
        state = (await alive.admit(100)).states()
        assert state[0].remaining == 100 - 10 - held - 6
        # Its calls are in the records by now, and what it had left of its slice is free again.
        engine.records.sum = 10 + spent + 6
        engine.pass_time(30)
        through = len(await admitted(alive, 100, 0))
        assert 84 - spent - 3 <= through <= 84 - spent
        assert calls


async def test_what_flows_is_exact_with_slices_in_between(engine: Engine) -> None:
    gate = engine.gate(requests(Per.MINUTE, 600))
    began = time.monotonic()
    assert 600 <= len(await admitted(gate, 700)) <= 601 + 10 * (time.monotonic() - began)
    await engine.tend()
    engine.pass_time(30)
    await engine.tend()
    assert 299 <= len(await admitted(gate, 700)) <= 301 + 10 * (time.monotonic() - began)


async def test_tokens_of_a_running_call_are_not_flowing_back(engine: Engine) -> None:
    gate = engine.gate(tokens(Per.MINUTE, 1000))
    call = await gate.admit(1000)
    await engine.tend()
    engine.pass_time(5)
    with pytest.raises(LimitExceededError):
        await gate.admit(10)
    call.settle(1000)
    await engine.tend()
    engine.pass_time(6)
    assert len(await admitted(gate, 200, 10)) == 10


async def test_closing_gives_everything_back_but_what_runs(three: Engine) -> None:
    here, there, _ = three.gates(requests(Per.DAY, 100), slots(20))
    running = await admitted(here, 10)
    assert here.counters[0].share.free > 0
    await three.limiters[0].close()
    assert len(await admitted(there, 100)) == 10
    for call in running:
        call.release()


async def test_an_answer_that_was_lost_heals_with_the_next_report(engine: Engine) -> None:
    gate = engine.gate(requests(Per.DAY, 10), slots(3))
    first = await gate.admit()
    asking = asyncio.ensure_future(gate.admit())
    # The request is written in the first steps and answered in a later one.
    for _ in range(4):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    await engine.tend()
    calls = await admitted(gate, 20)
    assert len(calls) <= 3 - 1
    for call in (first, *calls):
        call.release()
    assert [state.remaining for state in gate.states()][1] >= 2
