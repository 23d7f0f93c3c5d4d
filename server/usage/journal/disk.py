"""One thread that brings written records to the disk, for everybody who waits at the time at once."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress


class DiskWriter:
    """Runs fdatasync apart from the event loop. Those who come while it runs share the next one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._condition = threading.Condition()
        self._waiting: list[asyncio.Future[None]] = []
        self._files: list[int] = []
        """The file that is written to, last; before it, those that it followed and that are not closed yet."""
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def use(self, file: int) -> None:
        """This file is written to from now on. The one before it is brought to the disk and closed."""
        with self._condition:
            self._files.append(file)
            self._condition.notify()

    def synced(self) -> asyncio.Future[None]:
        """Done when all that was written before this call is on the disk. Fails with OSError where the disk does."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._condition:
            self._waiting.append(future)
            self._condition.notify()
        return future

    def close(self) -> None:
        """Brings everything to the disk, closes the files and ends the thread."""
        with self._condition:
            self._ended = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            with self._condition:
                while not self._waiting and not self._ended and len(self._files) < 2:
                    self._condition.wait()
                ended = self._ended
                waiting, self._waiting = self._waiting, []
                files = list(self._files)
                self._files = [] if ended else files[-1:]
            error = _sync(files, close_last=ended)
            self._loop.call_soon_threadsafe(_tell, waiting, error)


def _sync(files: list[int], *, close_last: bool) -> OSError | None:
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


def _tell(waiting: list[asyncio.Future[None]], error: OSError | None) -> None:
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
