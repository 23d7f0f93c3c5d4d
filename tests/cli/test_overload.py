"""Who is turned away by a busy event loop, and who is not.

Time goes by the thread's CPU time in all of them but one, so that a busy machine changes nothing.
"""

from __future__ import annotations

import asyncio
import time

from cli.overload import Overload

LIMIT = 0.01
WORK = 0.002
PATIENCE = 0.2
CALM = 0.1


def watched(limit: float = LIMIT) -> Overload:
    return Overload(limit, patience_seconds=PATIENCE, calm_seconds=CALM, monotonic=time.thread_time)


def work(seconds: float = WORK) -> None:
    """Takes CPU time of this thread, as serving a call does."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def round_of(overload: Overload, calls: int) -> int:
    """Calls that begin in one round of the loop; those that are let in work. How many were turned away."""
    turned_away = 0

    async def call() -> None:
        nonlocal turned_away
        if overload():
            turned_away += 1
        else:
            work()

    await asyncio.gather(*(call() for _ in range(calls)))
    return turned_away


async def rounds_of(overload: Overload, calls: int, seconds: float) -> int:
    """As above, over many rounds."""
    turned_away = 0
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        turned_away += await round_of(overload, calls)
    return turned_away


async def test_what_waits_too_long_in_round_after_round_is_turned_away_and_the_rest_is_served() -> None:
    overload = watched()
    await rounds_of(overload, 20, 1.2 * PATIENCE)
    turned_away = [await round_of(overload, 20) for _ in range(5)]
    # 10 ms of work are 5 calls of 2 ms; the one that passes the limit is let in still.
    assert all(12 <= each <= 16 for each in turned_away), turned_away


async def test_a_busy_process_that_keeps_up_turns_nobody_away() -> None:
    assert await rounds_of(watched(), 3, 2 * PATIENCE) == 0


async def test_bursts_turn_nobody_away() -> None:
    overload = watched()
    for _ in range(4):
        assert await rounds_of(overload, 20, PATIENCE / 3) == 0
        assert await rounds_of(overload, 1, 1.2 * CALM) == 0


async def test_a_short_round_in_between_does_not_hide_an_overload() -> None:
    overload = watched()
    await rounds_of(overload, 20, 1.2 * PATIENCE)
    await round_of(overload, 1)
    assert await round_of(overload, 20) > 10


async def test_a_process_that_gets_no_processor_turns_nobody_away() -> None:
    overload = Overload(LIMIT, patience_seconds=PATIENCE)

    async def call() -> bool:
        time.sleep(WORK)  # noqa: ASYNC251 - the loop stands still without working, as where others have the processor
        return overload()

    for _ in range(12):
        assert not any(await asyncio.gather(*(call() for _ in range(20))))


async def test_without_a_limit_nobody_is_turned_away() -> None:
    assert await rounds_of(watched(0.0), 20, 2 * PATIENCE) == 0
