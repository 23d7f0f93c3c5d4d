"""What a process's memory of its calls must be able to do, wherever it is kept."""

from __future__ import annotations

from typing import Protocol

from server.usage.journal.records import Opened, Progressed


class JournalFullError(Exception):
    """Nothing takes the record: without one, no call is promised anything."""


class CallJournal(Protocol):
    """The journal of one process: `journal.writer` keeps it on a disk, `journal.table` in the database.

    What a call's end is charged is safe on the disk at once; who keeps calls in the database has it settled there.
    """

    @property
    def tend_seconds(self) -> float:
        """Pause between two calls of `tend`."""
        ...

    def start(self) -> None:
        """Makes it ready. Raises OSError."""
        ...

    def opened(self, record: Opened) -> None:
        """Remembers a call before its provider hears of it. Raises `JournalFullError`; then it must not be sent."""
        ...

    def progressed(self, record: Progressed) -> None:
        """Remembers how much of a call was handed over. Raises `JournalFullError`."""
        ...

    def is_safe(self, call: bytes) -> bool:
        """Whether the call's end can no longer be lost: it is kept, or done."""
        ...

    def done(self, call: bytes) -> None:
        """The call is in the database: nothing of it needs to be kept."""
        ...

    @property
    def waiting(self) -> int:
        """Calls that are not in the database yet."""
        ...

    async def tend(self) -> None:
        """Background work: writes what waits, removes what is needed no more."""
        ...

    async def close(self) -> None:
        """Brings everything to where it is kept, and takes no record any more."""
        ...

    def remove(self) -> None:
        """Takes away what nobody needs once the process has given its place back."""
        ...
