"""Writing the journal of this process: segments that follow each other, and when each may go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from server.usage.journal.disk import DiskWriter
from server.usage.journal.port import JournalFullError
from server.usage.journal.records import Closed, Opened, Progressed, encode

SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""A longer segment is followed by the next."""

_CLOSED: Final = -1

_log = structlog.get_logger("journal")


@dataclass(slots=True)
class _Call:
    """What of a call must be carried into a new segment while it runs."""

    opened: Opened
    progressed: Progressed | None = None
    segment: int = 0
    """The oldest segment that is needed for it."""
    safe: bool = False
    """Whether its end is on the disk."""


class Journal:
    """The journal of one process, in a folder of its own: `000001.journal`, `000002.journal`, …"""

    tend_seconds: Final = 0.5

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._calls: dict[bytes, _Call] = {}
        """Calls that are not in the database yet."""
        self._running: set[bytes] = set()
        self._segment = 0
        self._oldest = 1
        self._file = _CLOSED
        self._length = 0
        self._disk: DiskWriter | None = None

    @property
    def folder(self) -> Path:
        """Where the segments are."""
        return self._folder

    def start(self) -> None:
        """Makes the folder and the first segment. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._disk = DiskWriter()
        self._next_segment()

    def opened(self, record: Opened) -> None:
        """Remembers a call before its provider hears of it. Raises `JournalFullError`; then it must not be sent."""
        self._write(encode(record))
        self._calls[record.call] = _Call(record, None, self._segment)
        self._running.add(record.call)

    def progressed(self, record: Progressed) -> None:
        """Remembers how much of a call was handed over. Raises `JournalFullError`."""
        call = self._calls.get(record.call)
        if call is None:
            return
        self._write(encode(record))
        call.progressed = record

    def closed(self, record: Closed) -> None:
        """Remembers how a call ended, once; `synced` says when it is safe. Raises `JournalFullError`."""
        if record.call not in self._running:
            return
        self._write(encode(record))
        self._running.discard(record.call)

    def when_synced(self, told: Callable[[JournalFullError | None], None]) -> None:
        """Calls `told` when everything written so far is on the disk, or with the error where the disk fails.

        Raises `JournalFullError` where the journal is closed.
        """
        assert self._disk is not None, "the journal was started"
        self._check_open()
        segment = self._segment

        def tell(error: OSError | None) -> None:
            if error is None:
                told(None)
                return
            if segment == self._segment:
                # The kernel forgets what it could not write: no later success says anything about this file.
                self._length = self._segment_bytes
            told(self._refusal(error))

        self._disk.when_synced(tell)

    async def synced(self) -> None:
        """Waits until everything written so far is on the disk. Raises `JournalFullError` where the disk fails."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: JournalFullError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.when_synced(told)
        await done

    def reopen(self, call: bytes) -> None:
        """The end of the call did not come onto the disk: `closed` is to write it again."""
        if call in self._calls:
            self._running.add(call)

    def mark_safe(self, call: bytes) -> None:
        """The end of the call is on the disk."""
        known = self._calls.get(call)
        if known is not None:
            known.safe = True

    def is_safe(self, call: bytes) -> bool:
        """Whether the call's end can no longer be lost: it is on the disk, or done."""
        known = self._calls.get(call)
        return known is None or known.safe

    def done(self, call: bytes) -> None:
        """The call is in the database: nothing of it needs to be kept."""
        self._calls.pop(call, None)
        self._running.discard(call)

    def tidy(self) -> None:
        """Removes segments that no call needs any more. To be called after a flush."""
        needed = min((call.segment for call in self._calls.values()), default=self._segment)
        while self._oldest < min(needed, self._segment):
            (self._folder / _name(self._oldest)).unlink(missing_ok=True)
            self._oldest += 1

    async def tend(self) -> None:
        """Removes segments that no call needs any more, and looks whether the disk answers."""
        if self._disk is not None:
            self._disk.watch()
        self.tidy()

    def remove(self) -> None:
        """Removes the files and their folder."""
        remove(self._folder)

    @property
    def waiting(self) -> int:
        """Calls that are not in the database yet."""
        return len(self._calls)

    async def close(self) -> None:
        """Brings everything to the disk, and takes no record any more. The segments stay: `remove` takes them away."""
        # Somebody else's file may soon have the number.
        self._file = _CLOSED
        if self._disk is not None:
            await self._disk.close()

    def _check_open(self) -> None:
        if self._file == _CLOSED:
            raise JournalFullError("the journal is closed")
        if self._disk is not None and self._disk.stalled:
            raise JournalFullError("the disk of the journal does not answer")

    def _write(self, content: bytes) -> None:
        self._check_open()
        if self._length >= self._segment_bytes:
            self._rotate()
        self._append(content)

    def _append(self, content: bytes) -> None:
        try:
            written = os.write(self._file, content)
            if written < len(content):
                raise OSError(28, "a part of a record was written")
        except OSError as error:
            self._cut_off()
            raise self._refusal(error) from error
        self._length += written

    def _cut_off(self) -> None:
        """What was written of a record would hide every one that follows it."""
        try:
            os.ftruncate(self._file, self._length)
        except OSError:
            # It stays; the next record goes into another segment.
            self._length = self._segment_bytes

    def _refusal(self, error: OSError) -> JournalFullError:
        _log.error("the journal takes no record", folder=str(self._folder), error=repr(error))
        return JournalFullError(f"the journal takes no record: {error!r}")

    def _rotate(self) -> None:
        """A new segment begins with the calls that still run, so that a long one does not keep every segment since."""
        try:
            self._next_segment()
        except OSError as error:
            raise self._refusal(error) from error
        for name in self._running:
            call = self._calls[name]
            self._append(encode(call.opened))
            if call.progressed is not None:
                self._append(encode(call.progressed))
            call.segment = self._segment

    def _next_segment(self) -> None:
        assert self._disk is not None, "the journal was started"
        path = self._folder / _name(self._segment + 1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _sync_folder(self._folder)
        except OSError:
            os.close(file)
            raise
        self._file, self._length = file, 0
        self._segment += 1
        self._disk.use(file)


def segments(folder: Path) -> list[Path]:
    """The segments of a journal, oldest first."""
    return sorted(folder.glob("*.journal"))


def remove(folder: Path) -> None:
    """Removes a journal that nobody needs any more."""
    for path in segments(folder):
        path.unlink(missing_ok=True)
    folder.rmdir()


def _sync_folder(folder: Path) -> None:
    """Brings the names in it to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(segment: int) -> str:
    return f"{segment:06}.journal"
