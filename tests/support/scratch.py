"""Where throw-away server data lies while tests run."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a fresh private folder is made below it
ENOUGH_BYTES: Final = 1 << 30
PREFIX: Final = "tollbridge-tests-"
# Younger folders may belong to a run that has not locked its own yet.
SETTLED_SECONDS: Final = 60.0


def is_roomy(folder: Path) -> bool:
    """Whether a folder exists, can be written and has a gibibyte free (containers often have 64 MB there)."""
    return os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= ENOUGH_BYTES


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A fresh folder, removed afterwards: in memory where there is room, else among the temporary files.

    Copying a database makes hundreds of small files: 20 ms in memory, up to 800 ms on disks that are slow at that.
    What a killed run left there is removed first, for it holds memory.
    """
    parent = MEMORY if is_roomy(MEMORY) else Path(tempfile.gettempdir())
    sweep(parent, time.time())
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as name, locked(Path(name)):
        yield Path(name)


def sweep(parent: Path, now: float) -> None:
    """Removes our folders whose run is over: nobody holds their lock. `now` is Unix seconds."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            status = folder.stat()
            if status.st_uid != os.geteuid() or now - status.st_mtime < SETTLED_SECONDS:
                continue
            with locked(folder):
                shutil.rmtree(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # in use, or another run was quicker


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock, which ends with the process. Raises BlockingIOError where another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
