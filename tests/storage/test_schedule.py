"""Background work runs in one process of a database at a time, and again after it failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.storage.database import Database, DatabaseUnavailableError, Role, Transaction
from server.storage.schedule import Loop, Schedule, SharedLoop
from tests.support.databases import TestDatabase


@pytest.fixture
async def pools(database: TestDatabase) -> AsyncIterator[Database]:
    opened = await Database.connect(dict.fromkeys(Role, database.url))
    yield opened
    await opened.close()


class Work:
    """Counts who is at it."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.runs = 0
        self.done = asyncio.Event()

    async def run_in(self, _transaction: Transaction) -> None:
        await self.run()

    async def run(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.02)
        self.now -= 1
        self.runs += 1
        if self.runs >= 10:
            self.done.set()


async def run_two(pools: Database, loop: Loop | SharedLoop, work: Work) -> None:
    schedules = [Schedule(pools, [loop]) for _ in range(2)]
    for schedule in schedules:
        schedule.start()
    await asyncio.wait_for(work.done.wait(), 10)
    for schedule in schedules:
        await schedule.stop()


async def test_shared_work_is_done_by_one_at_a_time(pools: Database) -> None:
    work = Work()
    await run_two(pools, SharedLoop("shared", 0.001, work.run_in), work)
    assert work.most == 1


async def test_shared_work_is_done_once_a_pause_however_many_processes_run(pools: Database) -> None:
    work = Work()
    own = Work()
    schedules = [Schedule(pools, [SharedLoop("rare", 3600.0, work.run_in), Loop("own", 3600.0, own.run)])]
    schedules += [Schedule(pools, [SharedLoop("rare", 3600.0, work.run_in), Loop("own", 0.001, own.run)])]
    for schedule in schedules:
        schedule.start()
    await asyncio.wait_for(own.done.wait(), 10)
    for schedule in schedules:
        await schedule.stop()
    assert work.runs == 1


async def test_a_shared_run_that_fails_is_due_again(pools: Database) -> None:
    work = Work()
    failures = iter([True, True])

    async def fail_twice(transaction: Transaction) -> None:
        if next(failures, False):
            raise DatabaseUnavailableError("away")
        await work.run_in(transaction)

    await run_two(pools, SharedLoop("failing", 0.001, fail_twice), work)
    assert work.runs >= 10


async def test_own_work_is_done_by_each(pools: Database) -> None:
    work = Work()
    await run_two(pools, Loop("own", 0.001, work.run), work)
    assert work.most == 2


async def test_a_failed_run_comes_again(pools: Database) -> None:
    work = Work()
    failures = iter([True, True])

    async def fail_twice() -> None:
        if next(failures, False):
            raise DatabaseUnavailableError("away")
        await work.run()

    await run_two(pools, Loop("failing", 0.001, fail_twice), work)
    assert work.runs >= 10


async def test_a_fault_in_a_run_does_not_end_the_work(pools: Database) -> None:
    work = Work()
    faults = iter([True, True])

    async def break_twice() -> None:
        if next(faults, False):
            raise PermissionError("a file of somebody else")
        await work.run()

    await run_two(pools, Loop("breaking", 0.001, break_twice), work)
    assert work.runs >= 10


async def test_many_shared_loops_do_not_wait_for_each_other_s_turns(pools: Database) -> None:
    work = [Work() for _ in range(6)]
    loops = [SharedLoop(f"loop {number}", 0.001, each.run_in) for number, each in enumerate(work)]
    schedule = Schedule(pools, loops)
    schedule.start()
    await asyncio.wait_for(asyncio.gather(*(each.done.wait() for each in work)), 10)
    await schedule.stop()
