"""Which processes run: a row, a heartbeat, and a lock that only a running process can hold.

The row says that a process was there, the lock whether it still is: the kernel lets go of an flock when its holder
ends, however it ends, and never before.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

from server.billing import process_store
from server.foundation import volumes
from server.storage.database import Database, Role, Transaction

HOST: Final = socket.gethostname()
LOCK_SUFFIX: Final = ".lock"

JournalKind = Literal["disk", "database"]
"""Where a process remembers its calls."""

ON_DISK: Final = "disk"
IN_DATABASE: Final = "database"

_HEARD_SECONDS: Final = 15.0
"""Who was heard of within this time runs: five heartbeats."""
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
    journal: str = ON_DISK
    has_lapsed: bool = False
    """Whether it can be taken for dead without its lock: nothing that it could still tell is anywhere else than in the
    database, it was silent for a minute, and calls are admitted against none of its leases."""


class JournalUnsafeError(Exception):
    """Several hosts share the database, and this one's journal would go with it; the text says what to set."""


class RunningProcess:
    """This process: holds its lock for life and tells the table that it lives."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        process_id: UUID,
        journal: Path | None = None,
        kind: JournalKind | None = None,
    ) -> None:
        """`folder` is DATA/processes, shared by every process of the deployment that can reach it; `journal` is the
        folder of the process's journal, `kind` where it was told to keep that, if it was."""
        self._kind = kind
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
        """Writes the row, after taking the lock where `lock` has not. Call before the first hold. Raises OSError,
        `DatabaseUnavailableError` and `JournalUnsafeError`."""
        if self._lock is None:
            self.lock()
        async with self._database.privileged(Role.KEEPER) as transaction:
            await process_store.take_turn(transaction)
            await self._look_around(transaction)
            await self._insert(transaction, now)

    async def _look_around(self, transaction: Transaction) -> None:
        """Raises `JournalUnsafeError` where other hosts run and nobody said that this one's disk stays."""
        if self._kind == IN_DATABASE or not self._journal_path:
            return
        rows = await process_store.list_elsewhere(transaction, HOST, _HEARD_SECONDS)
        # Whoever shares our data directory is another container on the same volume.
        hosts = sorted({row["host"] for row in rows if not lock_path(self._folder, row["id"]).exists()})
        fleeting = volumes.fleeting(Path(self._journal_path))
        if hosts and (fleeting or not self._kind):
            raise JournalUnsafeError(_unsafe(hosts[0], self._journal_path, fleeting))

    async def _insert(self, transaction: Transaction, now: datetime) -> None:
        kind = self._kind or ON_DISK
        await process_store.insert(transaction, self.id, HOST, str(self.lock_path), kind, self._journal_path, now)

    async def beat(self, now: datetime) -> None:
        """Tells the table that this process lives; writes the row anew where it is gone. Every few seconds."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            await self._insert(transaction, now)

    async def others_run(self, now: datetime) -> bool:
        """Whether another process has run for a while, and still does. Raises `DatabaseUnavailableError`."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            return await process_store.others_run(transaction, self.id, now - _SILENT)

    async def stop(self, *, done: bool = True, forget: Callable[[], None] = lambda: None) -> bool:
        """Takes back the row, and lets go of the lock. The row stays where the journal is not `done`, or holds, leases
        or calls are open: somebody else's reaper settles those. Answers whether it is gone. Then nobody needs the
        journal, which `forget` removes: before the lock, by which a reaper would find it, should we end here."""
        try:
            gone = done and await self._take_back()
            if gone:
                await asyncio.to_thread(forget)
                self.lock_path.unlink(missing_ok=True)
        finally:
            self._release()
        return gone

    async def _take_back(self) -> bool:
        async with self._database.privileged(Role.KEEPER) as transaction:
            return await process_store.delete_if_done(transaction, self.id)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class DeadProcess:
    """A process that has ended, proved by holding its lock, or that has lapsed. A context manager: the lock is let go
    at its end."""

    def __init__(self, lock: int | None, path: Path) -> None:
        self._lock = lock
        self._path = path

    def __enter__(self) -> DeadProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
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


def _unsafe(host: str, journal: str, fleeting: str) -> str:
    seen = f"JOURNAL: another host, {host}, runs on the same database"
    if fleeting:
        return (
            f"{seen}, and {journal} is on {fleeting}, which goes with this container. Set JOURNAL_DIR to a folder on a"
            " volume, or JOURNAL=database."
        )
    return (
        f"{seen}. Set JOURNAL=disk if {journal} is on a volume that outlives this host and is mounted again after it,"
        " or JOURNAL=database."
    )


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
    new container with another host name has mounted, is recognised. Elsewhere only on the same host. One whose lock
    cannot be reached is dead where it has lapsed.
    """
    path = lock_path(folder, row.id)
    if not path.exists() and row.host == HOST:
        path = Path(row.lock_path)
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return DeadProcess(None, path) if row.has_lapsed else None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return DeadProcess(lock, path)
