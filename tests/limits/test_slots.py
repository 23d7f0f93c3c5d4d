"""Calls at once: slots are freed when a call ends, however it ends, and when its process does."""

from __future__ import annotations

import asyncio
import gc

import pytest

from server.limits.errors import LimitExceededError
from server.limits.gate import Admission
from server.limits.limits import Per
from server.limits.shares import SLOT_LIFE_SECONDS
from tests.limits.engine import Engine, admitted, requests, slots, tended


async def test_a_slot_is_taken_and_given_back(three: Engine) -> None:
    gates = three.gates(slots(2))
    first, second = await gates[0].admit(), await gates[1].admit()
    with pytest.raises(LimitExceededError) as refused:
        await gates[2].admit()
    assert refused.value.retry_after == 1
    assert "calls at once" in refused.value.public
    first.release()
    first.release()
    await three.tend()
    third = await gates[2].admit()
    with pytest.raises(LimitExceededError):
        await gates[0].admit()
    second.release()
    third.release()


async def test_a_process_that_calls_again_needs_no_report_in_between(engine: Engine) -> None:
    gate = engine.gate(slots(1))
    for _ in range(5):
        (await gate.admit()).release()


async def test_slots_of_a_dead_process_come_back_when_their_time_is_over(three: Engine) -> None:
    dead, alive, _ = three.gates(slots(3))
    running = await admitted(dead, 3)
    for _ in range(4):
        three.pass_time(SLOT_LIFE_SECONDS / 4 - 0.5)
        await three.limiters[1].tend()
        assert await admitted(alive, 1) == []
    three.pass_time(3)
    assert len(await admitted(alive, 4)) == 3
    assert running


async def test_slots_of_a_long_call_are_renewed(three: Engine) -> None:
    here, there, _ = three.gates(slots(1))
    running = await here.admit()
    for _ in range(40):
        three.pass_time(1)
        await three.limiters[0].tend()
    assert await admitted(there, 1) == []
    running.release()


async def test_a_call_that_was_forgotten_does_not_keep_its_slot(engine: Engine) -> None:
    gate = engine.gate(slots(1), requests(Per.DAY, 10))
    forgotten = await gate.admit()
    del forgotten
    gc.collect()
    assert len(await admitted(gate, 1)) == 1


async def test_slots_leak_under_no_order_of_events(three: Engine) -> None:
    gates = three.gates(slots(7), requests(Per.DAY, 100_000))
    most = running = 0
    # Kept, so that those whose task is cancelled hold their slots until the end.
    kept: list[Admission] = []

    async def call(number: int) -> None:
        nonlocal most, running
        for turn in range(20):
            try:
                admission = await gates[number % 3].admit()
            except LimitExceededError:
                continue
            running += 1
            kept.append(admission)
            most = max(most, running)
            await asyncio.sleep(0.001 * (turn % 3))
            running -= 1
            admission.release()

    async with tended(three):
        tasks = [asyncio.ensure_future(call(number)) for number in range(30)]
        await asyncio.sleep(0.05)
        for task in tasks[::4]:
            task.cancel()
        await asyncio.wait(tasks)
    assert 3 <= most <= 7
    for admission in kept:
        admission.release()
    for _ in range(8):
        three.pass_time(0.5)
        await three.tend()
    async with tended(three):
        assert len(await admitted(gates[0], 9)) == 7
