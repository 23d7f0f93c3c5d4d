"""Who is turned away by a busy event loop, and who is not.

Time goes by the thread's CPU time in all of them but one, so that a busy machine changes nothing.
"""

from __future__ import annotations

import asyncio
import time

from cli.overload import PATIENCE_SECONDS, Overload

LIMIT = 0.01
WORK = 0.002


def watched(limit: float = LIMIT) -> Overload:
    return Overload(limit, monotonic=time.thread_time)


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
    await rounds_of(overload, 20, 1.2 * PATIENCE_SECONDS)
    turned_away = [await round_of(overload, 20) for _ in range(5)]
    # 10 ms of work are 5 calls of 2 ms; the one that passes the limit is let in still.
    assert all(12 <= each <= 16 for each in turned_away), turned_away


async def test_a_busy_process_that_keeps_up_turns_nobody_away() -> None:
    assert await rounds_of(watched(), 3, 2 * PATIENCE_SECONDS) == 0


async def test_a_few_long_rounds_turn_nobody_away() -> None:
    overload = watched()
    for _ in range(4):
        assert await rounds_of(overload, 20, PATIENCE_SECONDS / 4) == 0
        assert await round_of(overload, 1) == 0


async def test_a_process_that_gets_no_processor_turns_nobody_away() -> None:
    overload = Overload(LIMIT)

    async def call() -> bool:
        time.sleep(WORK)  # noqa: ASYNC251 - the loop stands still without working, as where others have the processor
        return overload()

    for _ in range(12):
        assert not any(await asyncio.gather(*(call() for _ in range(20))))


async def test_without_a_limit_nobody_is_turned_away() -> None:
    assert await rounds_of(watched(0.0), 20, 2 * PATIENCE_SECONDS) == 0
