"""Holds of dead processes are given back; those of living ones are not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from server.billing.holds import HoldDetail, Holds
from server.billing.processes import HOST, RunningProcess, lock_path
from server.billing.reaper import GRACE, Reaper
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import UnavailableError
from server.usage.interrupted import InterruptedCalls
from server.usage.process_books import abandoned_calls
from tests.billing.books import FAR, MODEL, Books

HOLD_LOCK = (
    "import fcntl, os, sys;"
    "file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600);"
    "fcntl.flock(file, fcntl.LOCK_EX);"
    "print('locked', flush=True);"
    "sys.stdin.read()"
)


@contextmanager
def living_process(folder: Path, process_id: UUID) -> Iterator[subprocess.Popen[bytes]]:
    """A real process that holds its lock, and ends at the latest with the block."""
    command = [sys.executable, "-c", HOLD_LOCK, str(lock_path(folder, process_id))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            yield process
        finally:
            process.kill()


def abandoned(books: Books, folder: Path) -> InterruptedCalls:
    """What settles for the dead; the processes of these tests keep no journal."""
    return abandoned_calls(books.database, folder / "journal", books.clock, uuid7)


async def hold_of(books: Books, process_id: UUID, folder: Path, org_id: UUID, amount: int) -> UUID:
    """A call of that process, with a hold; the process is in the table, heard of just now."""
    now, call_id = books.clock.now(), uuid7()
    await books.owner.execute(
        "INSERT INTO process VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING",
        process_id,
        HOST,
        str(lock_path(folder, process_id)),
        now,
    )
    detail = HoldDetail(MODEL, uuid7(), None, "req_lost", True, now)
    await Holds(books.database, process_id).open(
        org_id=org_id, call_id=call_id, model_id=MODEL, amount=amount, expire_time=now + FAR, detail=detail
    )
    return call_id


async def test_holds_of_a_killed_process_are_voided_and_flagged(books: Books, tmp_path: Path) -> None:
    org_id, process_id = await books.organization(promo=100), uuid7()
    reaper = Reaper(books.database, tmp_path, books.process_id, abandoned(books, tmp_path), {})
    with living_process(tmp_path, process_id) as process:
        call_id = await hold_of(books, process_id, tmp_path, org_id, 60)
        now = books.clock.now()
        alive = await reaper.reap(now + timedelta(hours=2))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    dead = await reaper.reap(now)

    assert (alive, dead) == (0, 1)
    balance = await books.balance(org_id)
    assert (balance.posted, balance.reserved) == (100, 0)
    event = await books.owner.fetchrow("SELECT * FROM usage_event")
    assert event is not None
    assert (event["id"], event["ending"], event["provider"]) == (call_id, "interrupted", "double")
    assert (event["cost"], event["input_tokens"], event["streamed"], event["request_id"]) == (0, 0, True, "req_lost")
    assert await books.count("process") == 0
    assert os.listdir(tmp_path) == []
    assert await reaper.reap(now + 3 * GRACE) == 0
    await books.assert_right()


async def test_a_settlement_after_the_reaper_changes_nothing(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=100)
    call_id, hold = await books.hold(org_id, 60)
    reaper = Reaper(books.database, tmp_path, books.process_id, abandoned(books, tmp_path), {})

    now = books.clock.now()
    closed = [await reaper.reap(now + FAR + seen) for seen in (-GRACE, GRACE / 2, GRACE, 2 * GRACE)]
    settled = await books.settle(hold, call_id, TokenCounts(input=60))

    assert (closed, settled.cost) == ([0, 0, 0, 1], 0)
    assert (await books.balance(org_id)).posted == 100
    assert await books.count("usage_event") == 1
    await books.assert_right()


async def test_a_process_whose_lock_cannot_be_found_is_not_called_dead(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=100)
    await hold_of(books, uuid7(), tmp_path, org_id, 60)
    reaper = Reaper(books.database, tmp_path, books.process_id, abandoned(books, tmp_path), {})

    assert await reaper.reap(books.clock.now() + timedelta(days=1)) == 0
    assert (await books.balance(org_id)).reserved == 60


async def test_a_data_directory_that_moved_to_another_host_is_recognised(books: Books, tmp_path: Path) -> None:
    org_id, process_id = await books.organization(promo=100), uuid7()
    await hold_of(books, process_id, tmp_path, org_id, 60)
    await books.owner.execute("UPDATE process SET host = 'gone', lock_path = '/nowhere/else.lock'")
    with living_process(tmp_path, process_id):
        pass

    closed = await Reaper(books.database, tmp_path, uuid7(), abandoned(books, tmp_path), {}).reap(
        books.clock.now() + timedelta(days=1)
    )

    assert closed == 1
    await books.assert_right()


async def test_a_process_is_known_while_it_runs(books: Books, tmp_path: Path) -> None:
    process = RunningProcess(books.database, tmp_path / "processes", books.process_id)
    now = books.clock.now()

    await process.start(now)
    await process.beat(now + timedelta(seconds=5))
    row = await books.owner.fetchrow("SELECT * FROM process")
    other = Reaper(books.database, tmp_path / "processes", uuid7(), abandoned(books, tmp_path), {})
    while_alive = await other.reap(now + timedelta(days=1))
    await process.stop()

    assert row is not None
    assert (row["id"], row["host"], row["heartbeat_time"]) == (books.process_id, HOST, now + timedelta(seconds=5))
    assert while_alive == 0
    assert await books.count("process") == 0
    assert os.listdir(tmp_path / "processes") == []


async def test_a_process_that_stops_with_open_holds_leaves_them_to_the_reaper(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=100)
    process = RunningProcess(books.database, tmp_path, books.process_id)
    await process.start(books.clock.now())
    await books.hold(org_id, 60)

    await process.stop()
    closed = await Reaper(books.database, tmp_path, uuid7(), abandoned(books, tmp_path), {}).reap(
        books.clock.now() + 2 * GRACE
    )

    assert closed == 1
    assert (await books.balance(org_id)).reserved == 0
    assert await books.count("process") == 0


async def test_a_hold_whose_answer_was_lost_is_given_back(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=1000)
    holds = Holds(books.database, books.process_id)
    now, call_id = books.clock.now(), uuid7()
    detail = HoldDetail(MODEL, uuid7(), None, "req_lost", False, now)
    async with books.owner.transaction():
        # Nobody's statement gets past these rows, as if the database hung.
        await books.owner.execute("SELECT FROM ledger_account WHERE org_id = $1 FOR UPDATE", org_id)
        with pytest.raises(UnavailableError):
            await holds.open(
                org_id=org_id, call_id=call_id, model_id=MODEL, amount=10, expire_time=now + FAR, detail=detail
            )
    assert len(holds.lost) == 1
    # The worst that can have happened: the statement came through after all.
    opened = await books.holds.open(
        org_id=org_id, call_id=call_id, model_id=MODEL, amount=10, expire_time=now + FAR, detail=detail
    )
    assert opened.id in holds.lost
    reaper = Reaper(books.database, tmp_path, books.process_id, abandoned(books, tmp_path), holds.lost)
    assert await reaper.reap(now) == 1
    assert await books.count("open_hold") == 0
    await reaper.reap(now + 2 * GRACE)
    assert not holds.lost
    await books.assert_right()


async def test_what_a_killed_start_left_is_removed_once_it_is_old(books: Books, tmp_path: Path) -> None:
    """Killed before it had a row: nobody else would ever look at its lock and its journal."""
    locks, journals = tmp_path / "processes", tmp_path / "journal"
    locks.mkdir()
    old, young, living = uuid7(), uuid7(), uuid7()
    for process_id in (old, young, living):
        (journals / str(process_id)).mkdir(parents=True)
        (journals / str(process_id) / "000001.journal").touch()
        lock_path(locks, process_id).touch()
    now = books.clock.now()
    reaper = Reaper(books.database, locks, books.process_id, abandoned(books, tmp_path), {})
    with living_process(locks, living):
        for process_id in (old, living):
            os.utime(lock_path(locks, process_id), times=(now.timestamp() - 40, now.timestamp() - 40))
        await reaper.reap(now)

    left = {young, living}
    assert {UUID(folder.name) for folder in journals.iterdir()} == left
    assert set(locks.iterdir()) == {lock_path(locks, process_id) for process_id in left}
