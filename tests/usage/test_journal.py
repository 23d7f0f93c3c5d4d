"""What was written to the journal is there after a crash, and nothing is kept longer than it is needed."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from server.foundation.ids import uuid7
from server.usage.journal.port import JournalFullError
from server.usage.journal.reader import JournaledCall, read
from server.usage.journal.records import Closed, Opened, Progressed, decode_all, encode
from server.usage.journal.writer import Journal, segments

ORG = uuid7()


def opened(call: UUID, prompt: int = 3) -> Opened:
    return Opened(
        call=call.bytes,
        org=ORG.bytes,
        hold=b"h" * 16,
        leased=True,
        reserved=100,
        funding="wallet",
        key=b"",
        user=b"",
        model="model",
        provider="double",
        request="req_1",
        streamed=True,
        create_time=1_700_000_000_000_000,
        prompt=prompt,
        price=(1, 10, 10, 10, 20, 20, None),
        profile="",
    )


def closed(call: UUID, raw_usage: bytes | None = b"{}") -> Closed:
    return Closed(call.bytes, "chatcmpl-1", 1, 12, 3, "complete", False, 200, (3, 0, 0, 5, 0), 80, 0, raw_usage)


@pytest.fixture
async def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "journal", segment_bytes=2000)
    made.start()
    return made


def names(journal: Journal) -> list[str]:
    return [path.name for path in segments(journal.folder)]


async def test_calls_are_read_as_they_were_written(journal: Journal) -> None:
    first, second = uuid7(), uuid7()
    journal.opened(opened(first))
    journal.opened(opened(second, prompt=9))
    journal.progressed(Progressed(second.bytes, 32, 0))
    journal.progressed(Progressed(second.bytes, 64, 1))
    journal.closed(closed(first))
    await journal.synced()

    calls = read(journal.folder)
    assert calls == [
        JournaledCall(opened(first), None, closed(first)),
        JournaledCall(opened(second, prompt=9), Progressed(second.bytes, 64, 1), None),
    ]
    await journal.close()
    assert read(journal.folder) == calls


def test_a_torn_end_hides_nothing_before_it() -> None:
    call = uuid7()
    whole = encode(opened(call)) + encode(Progressed(call.bytes, 7, 0))
    torn = encode(closed(call))
    for length in range(len(torn)):
        assert [type(record) for record in decode_all(whole + torn[:length])] == [Opened, Progressed]
    assert len(list(decode_all(whole + torn))) == 3


@pytest.mark.parametrize("place", [0, 4, 8, 20])
def test_a_damaged_record_ends_the_segment(place: int) -> None:
    first, second = encode(opened(uuid7())), encode(opened(uuid7()))
    damaged = bytearray(second)
    damaged[place] ^= 0xFF
    assert len(list(decode_all(first + bytes(damaged) + first))) == 1


async def test_segments_go_when_no_call_needs_them(journal: Journal) -> None:
    calls = [uuid7() for _ in range(40)]
    for call in calls:
        journal.opened(opened(call))
        journal.closed(closed(call))
    assert len(names(journal)) >= 4
    for call in calls[:-1]:
        journal.done(call.bytes)
    journal.tidy()
    assert [call.opened.call for call in read(journal.folder) if call.opened.call == calls[-1].bytes]
    assert len(names(journal)) <= 2
    journal.done(calls[-1].bytes)
    journal.tidy()
    assert len(names(journal)) == 1
    assert journal.waiting == 0
    await journal.close()


async def test_a_long_call_is_carried_along_and_keeps_no_old_segment(journal: Journal) -> None:
    long = uuid7()
    journal.opened(opened(long))
    journal.progressed(Progressed(long.bytes, 32, 0))
    for _ in range(40):
        short = uuid7()
        journal.opened(opened(short))
        journal.closed(closed(short))
        journal.done(short.bytes)
        journal.tidy()
    assert len(names(journal)) <= 2
    (found,) = [call for call in read(journal.folder) if call.opened.call == long.bytes]
    assert found.progressed == Progressed(long.bytes, 32, 0)
    await journal.close()


async def test_what_waits_for_the_disk_together_is_served_together(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    await asyncio.gather(*(journal.synced() for _ in range(100)))
    assert 1 <= len(synced) < 10
    await journal.close()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Files cannot grow beyond what the largest in the folder has."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in segments(folder))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 50, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_refuses_and_leaves_nothing_torn(journal: Journal) -> None:
    first, refused, later = uuid7(), uuid7(), uuid7()
    journal.opened(opened(first))
    with structlog.testing.capture_logs() as logs, full_disk(journal.folder), pytest.raises(JournalFullError):
        journal.opened(opened(refused))
    assert [line["event"] for line in logs] == ["the journal takes no record"]
    journal.opened(opened(later))
    assert [call.opened.call for call in read(journal.folder)] == [first.bytes, later.bytes]
    await journal.close()


async def test_a_torn_record_that_cannot_be_removed_hides_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, refused, later = uuid7(), uuid7(), uuid7()
    journal.opened(opened(first))
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", lambda _file, _length: os.close(-1))
        with structlog.testing.capture_logs(), full_disk(journal.folder), pytest.raises(JournalFullError):
            journal.opened(opened(refused))
    journal.opened(opened(later))
    assert [call.opened.call for call in read(journal.folder)] == [first.bytes, later.bytes]
    await journal.close()


async def test_a_disk_that_fails_makes_nothing_safe(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_file: int) -> None:
        raise OSError(5, "Input/output error")

    call = uuid7()
    journal.opened(opened(call))
    journal.closed(closed(call))
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(JournalFullError):
        await journal.synced()
    assert not journal.is_safe(call.bytes)
    monkeypatch.undo()
    await journal.close()


_WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from server.usage.journal.writer import Journal
from tests.usage.test_journal import opened
from uuid import UUID

async def main():
    journal = Journal(Path(sys.argv[1]))
    journal.start()
    for number in range(1, 51):
        journal.opened(opened(UUID(int=number)))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_was_written_survives_the_kill_of_its_process(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _WRITER, str(tmp_path / "journal")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [UUID(bytes=call.opened.call).int for call in read(tmp_path / "journal")] == list(range(1, 51))


async def test_a_disk_that_failed_once_is_not_believed_later(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel drops what it could not write: the record goes into another file, with all that belongs to it."""
    call = uuid7()
    journal.opened(opened(call))
    journal.closed(closed(call))
    monkeypatch.setattr(os, "fdatasync", lambda _file: os.close(-1))
    with pytest.raises(JournalFullError):
        await journal.synced()
    monkeypatch.undo()

    journal.reopen(call.bytes)
    journal.closed(closed(call))
    await journal.synced()

    first, second = segments(journal.folder)
    first.write_bytes(b"")
    assert [read_back.closed for read_back in read(journal.folder)] == [closed(call)]
    assert second.stat().st_size > 0
    await journal.close()


async def test_a_closed_journal_writes_into_nobody_elses_file(journal: Journal, tmp_path: Path) -> None:
    call = uuid7()
    journal.opened(opened(call))
    await journal.close()
    others = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(20)]
    try:
        with pytest.raises(JournalFullError):
            journal.closed(closed(call))
        async with asyncio.timeout(1):
            with pytest.raises(JournalFullError):
                await journal.synced()
        assert [os.fstat(file).st_size for file in others] == [0] * 20
    finally:
        for file in others:
            os.close(file)


async def test_a_file_that_does_not_close_stops_nobody(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    close = os.close

    def fail(file: int) -> None:
        close(file)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "close", fail)
    monkeypatch.setattr("server.usage.journal.writer._sync_folder", lambda _folder: None)
    for _ in range(40):
        journal.opened(opened(uuid7()))
    async with asyncio.timeout(1):
        await journal.synced()
        await journal.synced()
    monkeypatch.undo()
    await journal.close()
