"""A host without a disk of its own forgets nothing: calls under way are rows, and ends are committed before answers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from server.billing.processes import JournalUnsafeError, RunningProcess, lock_path
from server.foundation import volumes
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import UnavailableError
from server.storage.database import DatabaseUnavailableError
from server.usage import call_book
from server.usage.flush import EndedCall
from server.usage.journal.writer import Journal
from server.usage.process_books import ProcessBooks
from tests.billing.books import Books
from tests.usage.processes import PROMPT, FaultyDatabase, Process, reap, start

TOKENS = TokenCounts(output=20)


@asynccontextmanager
async def flushing(process: Process) -> AsyncIterator[None]:
    """The flush runs, as it does in every process."""
    running = asyncio.create_task(process.flusher.run())
    try:
        yield
    finally:
        running.cancel()


async def silence(books: Books, process: Process, *, host_is_lost: bool = True) -> None:
    """The process is heard of no more for two minutes; its lock cannot be reached."""
    if host_is_lost:
        process.row.lock_path.unlink()
    await books.owner.execute("UPDATE process SET seen_time = seen_time - interval '2 min'")
    await books.owner.execute("UPDATE spend_lease SET expire_time = expire_time - interval '2 min'")


async def rows(books: Books) -> dict[UUID, tuple[str, int]]:
    found = await books.owner.fetch("SELECT id, ending, cost FROM usage_event")
    return {row["id"]: (row["ending"], row["cost"]) for row in found}


async def test_ends_are_in_the_database_before_their_answers_many_at_a_time(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=1_000_000)
    process = await start(books, tmp_path, in_database=True)
    calls = [await process.begin(org_id, 100) for _ in range(60)]
    before = await books.count("ledger_transfer", "kind = 'draw'")
    seen: list[bool] = []
    one_at_a_time = asyncio.Lock()

    async def end(number: int) -> None:
        hold, detail, call_id = calls[number]
        await process.calls.settle(hold, process.ended(detail, call_id, org_id, TOKENS))
        async with one_at_a_time:
            seen.append(call_id in await rows(books) and process.calls.is_safe(call_id))

    async with flushing(process):
        await asyncio.gather(*(end(number) for number in range(60)))

    assert seen == [True] * 60
    assert await books.count("ledger_transfer", "kind = 'draw'") - before <= 10
    assert (await books.balance(org_id)).posted == 1_000_000 - 60 * 20
    await process.die()


async def test_only_calls_that_last_leave_a_row(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=1_000_000)
    process = await start(books, tmp_path, in_database=True)
    async with flushing(process):
        hold, detail, short = await process.begin(org_id, 100)
        await process.calls.settle(hold, process.ended(detail, short, org_id, TOKENS))
        await process.journal.tend()
        assert await books.count("open_call") == 0

        hold, detail, lasting = await process.begin(org_id, 100)
        await process.journal.tend()
        process.calls.progress(lasting, 32, 0)
        process.calls.progress(lasting, 64, 1)
        await process.journal.tend()
        (row,) = await books.owner.fetch("SELECT * FROM open_call")
        assert (row["id"], row["output"], row["reasoning"]) == (lasting, 64, 1)
        await process.calls.settle(hold, process.ended(detail, lasting, org_id, TOKENS))
        await process.journal.tend()
    assert await books.count("open_call") == 0
    assert process.journal.waiting == 0
    await process.die()


async def test_a_lost_hosts_calls_are_settled_once_it_was_silent_and_its_leases_are_over(
    books: Books, tmp_path: Path
) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, tmp_path, in_database=True)
    ended, streaming, unsent = [await process.begin(org_id, 100) for _ in range(3)]
    async with flushing(process):
        await process.calls.settle(ended[0], process.ended(ended[1], ended[2], org_id, TOKENS))
    process.calls.progress(streaming[2], 64, 1)
    await process.journal.tend()
    await process.die()
    process.row.lock_path.unlink()

    await reap(books, tmp_path)
    assert await books.count("spend_lease") == 1
    await books.owner.execute("UPDATE process SET seen_time = seen_time - interval '2 min'")
    await reap(books, tmp_path)
    assert await books.count("spend_lease") == 1, "its lease may still admit"
    await books.owner.execute("UPDATE spend_lease SET expire_time = expire_time - interval '2 min'")
    await reap(books, tmp_path)
    await reap(books, tmp_path)

    assert await rows(books) == {
        ended[2]: ("complete", 20),
        streaming[2]: ("interrupted", PROMPT + 65),
        unsent[2]: ("interrupted", 0),
    }
    assert (await books.balance(org_id)).posted == 100_000 - 20 - PROMPT - 65
    for table in ("open_call", "spend_lease", "process"):
        assert await books.count(table) == 0
    await books.assert_right()


async def test_a_hold_of_its_own_is_settled_for_a_lost_host_too(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=250)
    process = await start(books, tmp_path, in_database=True)
    hold, _, call_id = await process.begin(org_id, 100)
    assert hold.lease is None
    process.calls.progress(call_id, 32, 0)
    await process.journal.tend()
    await process.die()
    await silence(books, process)
    await reap(books, tmp_path)
    assert await rows(books) == {call_id: ("interrupted", PROMPT + 32)}
    assert (await books.balance(org_id)).reserved == 0
    await books.assert_right()


async def test_who_comes_back_after_it_was_taken_for_dead_charges_nothing_twice(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, tmp_path, in_database=True)
    streaming = await process.begin(org_id, 100)
    process.calls.progress(streaming[2], 32, 0)
    await process.journal.tend()
    await silence(books, process)
    await reap(books, tmp_path)
    assert await books.count("process") == 0

    await process.row.beat(books.clock.now())
    books.clock.elapsed += 120
    process.calls.progress(streaming[2], 64, 0)
    await process.journal.tend()
    async with flushing(process):
        await process.calls.settle(streaming[0], process.ended(streaming[1], streaming[2], org_id, TOKENS))
        assert process.leases.take(org_id, "any", 1) is None, "its lease is over"
        again = await process.begin(org_id, 100)
        await process.calls.settle(again[0], process.ended(again[1], again[2], org_id, TOKENS))

    assert await rows(books) == {streaming[2]: ("interrupted", PROMPT + 32), again[2]: ("complete", 20)}
    assert (await books.balance(org_id)).posted == 100_000 - PROMPT - 32 - 20
    await process.die()
    await books.assert_right()


async def test_a_lease_that_was_renewed_meanwhile_stays(books: Books, tmp_path: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, tmp_path, in_database=True)
    hold, _, _ = await process.begin(org_id, 100)
    lapsed = "SELECT ledger_lease_lapse($1, $2, $3)"
    assert not await books.owner.fetchval(lapsed, org_id, hold.id, uuid7())
    assert await books.count("spend_lease") == 1
    await silence(books, process)
    assert await books.owner.fetchval(lapsed, org_id, hold.id, uuid7())
    assert await books.owner.fetchval(lapsed, org_id, hold.id, uuid7())
    assert await books.count("spend_lease") == 0
    await process.die()


async def test_who_lives_on_this_host_is_not_taken_for_dead(books: Books, tmp_path: Path) -> None:
    """Stopped for long, but its lock says that it is there."""
    org_id = await books.organization(promo=100_000)
    process = await start(books, tmp_path, in_database=True)
    await process.begin(org_id, 100)
    await silence(books, process, host_is_lost=False)
    await reap(books, tmp_path)
    assert await books.count("spend_lease") == 1
    await process.die()


async def test_without_a_database_an_end_is_not_answered_and_not_lost(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_book, "_COMMIT_SECONDS", 0.01)
    org_id = await books.organization(promo=100_000)
    database = FaultyDatabase(books.database)
    process = await start(books, tmp_path, database, in_database=True)
    hold, detail, call_id = await process.begin(org_id, 100)
    call = process.ended(detail, call_id, org_id, TOKENS)
    database.away = True
    for _ in range(3):
        with pytest.raises(DatabaseUnavailableError):
            await process.calls.settle(hold, call)
    assert not process.calls.is_safe(call_id)
    database.away, database.lost_answers = False, 1
    assert await process.flusher.finish(5.0) == 0
    assert (await process.calls.settle(hold, call)).cost == 20

    assert await rows(books) == {call_id: ("complete", 20)}
    assert hold.lease is not None
    assert (hold.lease.taken, hold.lease.owed) == (0, 0)
    await process.die()
    await books.assert_right()


async def test_new_calls_are_refused_two_seconds_after_the_database_left(books: Books, tmp_path: Path) -> None:
    database = FaultyDatabase(books.database)
    process = ProcessBooks(
        database,  # type: ignore[arg-type]
        *(tmp_path, tmp_path / "journal", books.clock, uuid7, _nobody_else, "database"),
    )
    await process.start()
    org_id = await books.organization(promo=100_000)
    database.away = True
    call = books.call(org_id, uuid7(), TOKENS)
    flusher = process._flusher
    waiting = asyncio.Event()

    async def wait(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    flusher._sleep = wait
    flusher.add(EndedCall(call, None, "", 0, 0))
    running = asyncio.create_task(flusher.run())
    await waiting.wait()
    process.calls.check_open()
    books.clock.elapsed += 3
    with pytest.raises(UnavailableError):
        process.calls.check_open()
    running.cancel()
    await asyncio.wait({running})
    database.away = False
    await process.stop(5.0)


async def _nobody_else() -> None:
    """There are no other processes to tell."""


async def test_a_stop_leaves_nothing_behind(books: Books, tmp_path: Path) -> None:
    process = ProcessBooks(books.database, tmp_path, tmp_path / "journal", books.clock, uuid7, _nobody_else, "database")
    await process.start()
    (row,) = await books.owner.fetch("SELECT * FROM process")
    assert (row["journal"], row["journal_path"]) == ("database", "")
    await process.stop(5.0)
    assert await books.count("process") == 0
    assert not (tmp_path / "journal").exists()


async def elsewhere(books: Books, ago: timedelta = timedelta(0)) -> UUID:
    """A process on another host, heard of so long ago."""
    process_id = uuid7()
    await books.owner.execute(
        "INSERT INTO process (id, host, lock_path, seen_time)"
        " VALUES ($1, 'other', '/x', clock_timestamp() - $2::interval)",
        *(process_id, ago),
    )
    return process_id


@pytest.mark.parametrize(
    ("kind", "disk", "sentence"),
    [
        (None, "", "JOURNAL: another host, other, runs .* Set JOURNAL=disk if .* or JOURNAL=database"),
        (None, "overlay", "is on overlay, which goes with this container. Set JOURNAL_DIR .* or JOURNAL=database"),
        ("disk", "tmpfs", "is on tmpfs, which goes with this container"),
        ("disk", "", ""),
        ("database", "overlay", ""),
    ],
)
async def test_beside_another_host_a_journal_must_be_safe(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, disk: str, sentence: str
) -> None:
    monkeypatch.setattr(volumes, "fleeting", lambda _: disk)
    await elsewhere(books)
    process = RunningProcess(books.database, tmp_path, uuid7(), tmp_path / "journal", kind)  # type: ignore[arg-type]
    if sentence:
        with pytest.raises(JournalUnsafeError, match=sentence):
            await process.start(books.clock.now())
    else:
        await process.start(books.clock.now())
    assert await books.count("process") == (1 if sentence else 2)
    await process.stop()


async def test_who_is_alone_or_shares_a_volume_need_not_say_where(books: Books, tmp_path: Path) -> None:
    await elsewhere(books, timedelta(minutes=1))
    sharing = await elsewhere(books)
    lock_path(tmp_path, sharing).touch()
    process = RunningProcess(books.database, tmp_path, uuid7(), tmp_path / "journal")
    await process.start(books.clock.now())
    assert await process.stop()


async def test_a_disk_that_stalls_holds_up_no_end_and_loses_none(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, tmp_path)
    journal = process.journal
    assert isinstance(journal, Journal)
    disk = journal._disk
    assert disk is not None
    first, second = [await process.begin(org_id, 100) for _ in range(2)]
    stalling, goes_on, answered = threading.Event(), threading.Event(), asyncio.Event()
    fdatasync = os.fdatasync

    def stall(file: int) -> None:
        stalling.set()
        goes_on.wait(60)
        fdatasync(file)

    monkeypatch.setattr(os, "fdatasync", stall)
    async with flushing(process):
        end = process.ended(first[1], first[2], org_id, TOKENS)
        waiting = asyncio.ensure_future(process.calls.settle(first[0], end))
        await asyncio.to_thread(stalling.wait, 60)
        await journal.tend()
        assert not disk.stalled
        disk._since -= 2
        with structlog.testing.capture_logs():
            await journal.tend()
            assert (await waiting).cost == 20
            with pytest.raises(UnavailableError):
                await process.begin(org_id, 100)
            await process.calls.settle(second[0], process.ended(second[1], second[2], org_id, TOKENS))
        assert await rows(books) == {first[2]: ("complete", 20), second[2]: ("complete", 20)}

        goes_on.set()
        disk.when_synced(lambda _: answered.set())
        await answered.wait()
        third = await process.begin(org_id, 100)
        await process.calls.settle(third[0], process.ended(third[1], third[2], org_id, TOKENS))
        assert process.calls.is_safe(third[2])
    await process.die()
    await reap(books, tmp_path)
    assert (await books.balance(org_id)).posted == 100_000 - 3 * 20
    assert await books.count("usage_event") == 3
    await books.assert_right()
