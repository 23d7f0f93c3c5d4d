"""The data directory: one supervisor at a time, and files that only its user can read."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.launch import METRICS_FOLDER
from cli.supervisor.errors import ServeError

BOOTSTRAP_FILE: Final = "bootstrap.json"
PENDING_SECRETS_FILE: Final = "bootstrap.pending.json"


class DataDir:
    """A data directory that this process has to itself until `release`, or until it ends."""

    def __init__(self, path: Path) -> None:
        """Nothing is made before `acquire`."""
        self.path = path.absolute()
        self._lock: int | None = None

    def acquire(self) -> bool:
        """Makes and locks the directory; returns whether the supervisor before us ended without cleaning up.

        Raises ServeError when it cannot be made or written, or is in use.
        """
        try:
            # Root's may be entered by name, since PostgreSQL may have to pass as `nobody`; what lies in it is closed.
            self.path.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServeError(f"--data-dir {self.path} is not writable ({error.strerror}).") from error
        holder = os.pread(lock, 32, 0).decode("ascii", "replace")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ServeError(
                f"Tollbridge already runs on {self.path} (process {holder or 'unknown'}): stop it, or choose another "
                "--data-dir."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        self.logs.mkdir(exist_ok=True, mode=0o700)
        self._clear_metrics()
        return bool(holder)

    def release(self) -> None:
        """Marks a clean end and lets the next one in; harmless when the directory was never acquired."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def _clear_metrics(self) -> None:
        """What an earlier run counted: its process ids may come again, and its totals are Prometheus' to keep."""
        folder = self.path / METRICS_FOLDER
        folder.mkdir(exist_ok=True, mode=0o700)
        for path in folder.glob("*.db"):
            path.unlink(missing_ok=True)

    @property
    def logs(self) -> Path:
        """Where the embedded services' logs go."""
        return self.path / "logs"

    @property
    def bootstrap_file(self) -> Path:
        """Where the first start's secrets lie when there was no terminal to show them on."""
        return self.path / BOOTSTRAP_FILE

    @property
    def pending_secrets_file(self) -> Path:
        """Where the first start's secrets lie from before they are valid until somebody was told."""
        return self.path / PENDING_SECRETS_FILE


def write_private_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes one JSON object that only this user can read, whole or not at all. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(content, separators=(",", ":")) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
