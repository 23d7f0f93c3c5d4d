"""Who may use a service's folder: one launcher, and whatever is left of the server that it started."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from cli.embedded.errors import EmbeddedServiceError

# How long a server may take to go down after its launcher was killed.
LEAVING_SECONDS: Final = 20.0


class FolderLock:
    """An exclusive flock on `<folder>/lock` that the server inherits.

    So it is free only when the launcher has released it and every process of the server has ended.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        """`owner` names in an error what the folder belongs to, as in "PostgreSQL"."""
        self._path = folder / "lock"
        self._owner = owner
        self._file: int | None = None

    @property
    def file(self) -> int:
        """The file descriptor to hand to the server; the lock must be held."""
        assert self._file is not None
        return self._file

    def acquire(self) -> None:
        """Takes the lock; waits up to 20 s for a server whose launcher is dead. Raises EmbeddedServiceError."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up = time.monotonic() + LEAVING_SECONDS
        while not _try_lock(file):
            if _launcher_lives(file) or time.monotonic() > give_up:
                os.close(file)
                raise EmbeddedServiceError(
                    f"{self._owner} in {self._path.parent} is already in use by another process."
                )
            time.sleep(0.02)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Gives our share of the lock back; harmless when it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _launcher_lives(file: int) -> bool:
    text = os.pread(file, 32, 0)
    if not text.isdigit():
        return True
    try:
        os.kill(int(text), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
