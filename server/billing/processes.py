"""Which processes run: a row, a heartbeat, and a lock that only a running process can hold.

The row says that a process was there, the lock whether it still is: the kernel lets go of an flock when its holder
ends, however it ends, and never before.
"""

from __future__ import annotations

import fcntl
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from server.billing import process_store
from server.storage.database import Database, Role

HOST: Final = socket.gethostname()
LOCK_SUFFIX: Final = ".lock"
_SILENT: Final = timedelta(seconds=10)
"""Who was not heard of for so long does not run, or not well; who is younger has not done much."""
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process as the table has it."""

    id: UUID
    host: str
    lock_path: str
    journal_path: str
    """The folder of its journal; empty where it keeps none."""
    heartbeat_time: datetime


class RunningProcess:
    """This process: holds its lock for life and tells the table that it lives."""

    def __init__(self, database: Database, folder: Path, process_id: UUID, journal: Path | None = None) -> None:
        """`folder` is DATA/processes, shared by every process of the deployment that can reach it; `journal` is the
        folder of the process's journal."""
        self._database = database
        self._folder = folder
        self._journal_path = "" if journal is None else str(journal.absolute())
        self.id = process_id
        self._lock: int | None = None

    @property
    def lock_path(self) -> Path:
        """`<folder>/<id>.lock`."""
        return lock_path(self._folder, self.id)

    def lock(self) -> None:
        """Takes the lock. Comes before everything that must be found should this process die. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    async def start(self, now: datetime) -> None:
        """Writes the row, after taking the lock where `lock` has not. Call before the first hold. Raises OSError and
        DatabaseUnavailableError."""
        if self._lock is None:
            self.lock()
        async with self._database.privileged(Role.KEEPER) as transaction:
            await process_store.insert(transaction, self.id, HOST, str(self.lock_path), self._journal_path, now)

    async def beat(self, now: datetime) -> None:
        """Tells the table that this process lives; writes the row anew where it is gone. Every few seconds."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            await process_store.insert(transaction, self.id, HOST, str(self.lock_path), self._journal_path, now)

    async def others_run(self, now: datetime) -> bool:
        """Whether another process has run for a while, and still does. Raises `DatabaseUnavailableError`."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            return await process_store.others_run(transaction, self.id, now - _SILENT)

    async def stop(self, *, done: bool = True) -> bool:
        """Takes back the row, and lets go of the lock. The row stays where the journal is not `done`, or holds or
        leases are open: somebody else's reaper settles those. Whether it is gone, and with it every need for the
        journal."""
        try:
            gone = done and await self._take_back()
        finally:
            self._release()
        if gone:
            self.lock_path.unlink(missing_ok=True)
        return gone

    async def _take_back(self) -> bool:
        async with self._database.privileged(Role.KEEPER) as transaction:
            return await process_store.delete_if_done(transaction, self.id)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class DeadProcess:
    """A process that has ended, proved by holding its lock. A context manager: the lock is let go at its end."""

    def __init__(self, lock: int, path: Path) -> None:
        self._lock = lock
        self._path = path

    def __enter__(self) -> DeadProcess:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def remove(self) -> None:
        """Removes its lock file."""
        self._path.unlink(missing_ok=True)


class OtherProcesses:
    """What can be said of processes whose ids are known."""

    def __init__(self, database: Database, folder: Path) -> None:
        """`folder` is DATA/processes."""
        self._database = database
        self._folder = folder

    async def has_ended(self, process_id: UUID) -> bool:
        """Whether the process is dead: its lock can be taken, or it was buried already. False where nothing can be
        proved, as with one on another host. Raises `DatabaseUnavailableError`."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            found = await process_store.get(transaction, process_id)
        path = lock_path(self._folder, process_id)
        if found is None and not path.exists():
            return True
        row = ProcessRow(**dict(found)) if found else ProcessRow(process_id, HOST, str(path), "", _LONG_AGO)
        dead = prove_dead(self._folder, row)
        if dead is None:
            return False
        with dead:
            return True


def lock_path(folder: Path, process_id: UUID) -> Path:
    """Where the process of this id keeps its lock."""
    return folder / f"{process_id}{LOCK_SUFFIX}"


def process_of(path: Path) -> UUID | None:
    """Whose lock this is; None for a file that is no process's lock."""
    try:
        return UUID(path.name.removesuffix(LOCK_SUFFIX))
    except ValueError:
        return None


def prove_dead(folder: Path, row: ProcessRow) -> DeadProcess | None:
    """The process, locked, if it is dead; None where it lives or where nothing can be proved.

    Its lock file is looked for in our own folder first: ids are unique, so a data directory that was moved, or that a
    new container with another host name has mounted, is recognised. Elsewhere only on the same host.
    """
    path = lock_path(folder, row.id)
    if not path.exists() and row.host == HOST:
        path = Path(row.lock_path)
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return DeadProcess(lock, path)
