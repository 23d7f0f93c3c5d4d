"""One thread that brings written records to the disk, for everybody who waits at the time at once."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, NamedTuple

Told = Callable[[OSError | None], None]
"""Hears that what was written is on the disk, or why it is not."""


STALL_SECONDS: Final = 1.0
"""A disk that takes longer is not waited for."""


class _Work(NamedTuple):
    files: Sequence[int]
    last: bool


class DiskWriter:
    """Runs fdatasync apart from the event loop. Those who come while it runs share the next one.

    The thread is woken once for all of them: to wake it for each took more time than the rest of a call's journal.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Told] = []
        self._files: list[int] = []
        """The file that is written to, last; before it, those that it followed and that are not closed yet."""
        self._told: Sequence[Told] = ()
        """Who waits for what the disk does now."""
        self._busy = False
        self._since = 0.0
        self.stalled = False
        """Whether the disk has not answered for a second: nobody should wait for it."""
        self._work: SimpleQueue[_Work] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def use(self, file: int) -> None:
        """This file is written to from now on. The one before it is brought to the disk and closed."""
        self._files.append(file)
        if len(self._files) > 1 and not self._busy:
            self._begin()

    def when_synced(self, told: Told) -> None:
        """Calls `told`, from the event loop, when all that was written before this is on the disk or cannot be."""
        self._waiting.append(told)
        if not self._busy:
            self._begin()

    def watch(self) -> None:
        """Tells those who wait once the disk stalls. To be called every half second."""
        if not self._busy or self._loop.time() - self._since < STALL_SECONDS:
            return
        self.stalled = True
        told, self._told, self._waiting = [*self._told, *self._waiting], (), []
        self._answer(told, OSError(errno.ETIMEDOUT, f"the disk has not answered for {STALL_SECONDS:g} s"))

    async def close(self) -> None:
        """Brings everything to the disk, closes the files and ends the thread. Nothing may be written any more."""
        self._busy = True
        self._hand_over(last=True)
        await asyncio.to_thread(self._thread.join)

    def _begin(self) -> None:
        self._busy = True
        self._hand_over(last=False)

    def _hand_over(self, *, last: bool) -> None:
        self._told, self._waiting, self._since = self._waiting, [], self._loop.time()
        files, self._files = self._files, [] if last else self._files[-1:]
        self._work.put(_Work(files, last))

    def _run(self) -> None:
        last = False
        while not last:
            files, last = self._work.get()
            error = _sync(files, close_last=last)
            self._loop.call_soon_threadsafe(self._tell, error)

    def _tell(self, error: OSError | None) -> None:
        told, self._told = self._told, ()
        self._busy = self.stalled = False
        # Those who came meanwhile first: the disk works while the others go on.
        if self._waiting or len(self._files) > 1:
            self._begin()
        self._answer(told, error)

    def _answer(self, told: Sequence[Told], error: OSError | None) -> None:
        for tell in told:
            try:
                tell(error)
            except Exception as failure:  # noqa: BLE001 - recorded; the others wait too
                self._loop.call_exception_handler({"message": "after a record was written", "exception": failure})


def _sync(files: Sequence[int], *, close_last: bool) -> OSError | None:
    error: OSError | None = None
    for number, file in enumerate(files):
        try:
            os.fdatasync(file)
        except OSError as failure:
            error = failure
        if close_last or number < len(files) - 1:
            # Everything is on the disk by now or was reported; who waits must hear of it all the same.
            with suppress(OSError):
                os.close(file)
    return error
