"""One worker process, from its start to its end, as the supervisor sees it."""

import os
import signal
import time
from typing import Final

from cli.launch import Launch
from cli.supervisor.options import Commands
from cli.supervisor.python_child import start_python_child

START_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 10.0
"""What a worker gets to leave that did not say how long it may take."""


class WorkerProcess:
    """A process that serves, or is about to, or is on its way out. Moments are monotonic seconds."""

    def __init__(self, commands: Commands, launch: Launch, index: int, http_fd: int) -> None:
        """Starts it on the listening socket `http_fd`. Raises ServeError, OSError."""
        reading, writing = os.pipe()
        try:
            for_it = launch.for_worker(index, http_fd, writing)
            launch.metrics_dir.mkdir(exist_ok=True, mode=0o700)
            # The metrics library reads it while it is imported.
            metrics = {"PROMETHEUS_MULTIPROC_DIR": str(launch.metrics_dir)}
            self._process = start_python_child(commands.worker, for_it, (http_fd, writing), metrics)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.ready_fd: int | None = reading
        """Where the process says that it serves; None once it has, or has ended."""
        self.serves = False
        self.started = time.monotonic()
        self._grace = GRACE_SECONDS
        self._kill_at: float | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def due(self) -> float | None:
        """When it is killed if nothing happens: not serving in time, or not leaving in time."""
        if self._kill_at is not None:
            return self._kill_at
        return None if self.serves else self.started + START_SECONDS

    def look(self, readable: set[int]) -> int | None:
        """Notes that it serves, kills it where it is overdue; returns the exit status once it has ended."""
        if self.ready_fd in readable:
            self._read_ready()
        status = self._process.poll()
        if status is not None:
            if self.ready_fd is not None:
                self._read_ready()
            return status
        if self.due is not None and self.due <= time.monotonic():
            self._process.kill()
        return None

    def ask_to_leave(self) -> None:
        """Sends SIGTERM, once; from now on it is killed when it outstays what it said it may need."""
        if self._kill_at is None:
            self._process.send_signal(signal.SIGTERM)
            self._kill_at = time.monotonic() + self._grace

    def kill(self) -> None:
        """Ends it now, and waits for that."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._close()

    def _read_ready(self) -> None:
        assert self.ready_fd is not None
        # Nothing is read when the process ended, or closed its end without serving.
        words = os.read(self.ready_fd, 64).decode("ascii", "replace").split()
        if words:
            self.serves = True
            self._grace = float(words[1]) if len(words) > 1 else GRACE_SECONDS
        self._close()

    def _close(self) -> None:
        if self.ready_fd is not None:
            os.close(self.ready_fd)
            self.ready_fd = None


def ending(status: int) -> str:
    """An exit status as the end of a sentence."""
    return f"signal {-status}" if status < 0 else f"status {status}"
