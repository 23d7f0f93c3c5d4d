"""The workers: started, told apart when they are ready, started again when they crash, drained at the end."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import Final

from cli.launch import Launch
from cli.supervisor.back_off import BackOff
from cli.supervisor.errors import ServeError
from cli.supervisor.events import Events
from cli.supervisor.options import Commands
from cli.supervisor.progress import Progress
from cli.supervisor.python_child import start_python_child

# A worker that ends this often in a row without having served will not serve by being started again.
FAILED_STARTS_ALLOWED: Final = 5
START_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 10.0


@dataclass
class Worker:
    """One place for a worker process, and the process that holds it."""

    index: int
    process: subprocess.Popen[bytes] | None = None
    ready_fd: int | None = None
    """Where the process says that it serves; None once it has, or has ended."""
    serves: bool = False
    started: float = 0.0
    start_at: float = 0.0
    failed_starts: int = 0
    restarted: bool = False
    back_off: BackOff = field(default_factory=BackOff)


class Workers:
    """All workers of one supervisor."""

    def __init__(self, commands: Commands, launch: Launch, http_fd: int, count: int, progress: Progress) -> None:
        """Nothing is started before `step`."""
        self._commands = commands
        self._launch = launch
        self._http_fd = http_fd
        self._progress = progress
        self._workers = [Worker(index) for index in range(count)]

    @property
    def all_serve(self) -> bool:
        """Whether every worker serves."""
        return all(worker.serves for worker in self._workers)

    @property
    def ready_fds(self) -> list[int]:
        """What to wait for: a worker says there that it serves."""
        return [worker.ready_fd for worker in self._workers if worker.ready_fd is not None]

    def step(self, readable: set[int]) -> float | None:
        """Does what is due: notes who serves and who ended, starts whom it is time to start.

        Returns when (monotonic) to call again at the latest, None: at no set time. Raises ServeError when a worker
        could not start five times in a row.
        """
        for worker in self._workers:
            if worker.ready_fd in readable:
                self._read_ready(worker)
            if worker.process is not None and worker.process.poll() is not None:
                self._ended(worker, worker.process.returncode)
            elif worker.process is None and worker.start_at <= time.monotonic():
                self._start(worker)
            elif worker.process is not None and not worker.serves and time.monotonic() > worker.started + START_SECONDS:
                worker.process.kill()
        return min((due for worker in self._workers if (due := self._due(worker)) is not None), default=None)

    def stop(self, events: Events, requests: int) -> None:
        """Sends SIGTERM and waits 10 s, or until more than `requests` have asked to stop, before SIGKILL."""
        running = [worker.process for worker in self._workers if worker.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        give_up = time.monotonic() + GRACE_SECONDS
        while any(process.poll() is None for process in running) and events.stop_requests == requests:
            left = give_up - time.monotonic()
            if left <= 0:
                break
            events.wait(left)
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
        for worker in self._workers:
            self._forget(worker)

    @staticmethod
    def _due(worker: Worker) -> float | None:
        if worker.process is None:
            return worker.start_at
        return None if worker.serves else worker.started + START_SECONDS

    def _start(self, worker: Worker) -> None:
        reading, writing = os.pipe()
        launch = self._launch.for_worker(worker.index, self._http_fd, writing)
        try:
            worker.process = start_python_child(self._commands.worker, launch, (self._http_fd, writing))
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        worker.ready_fd = reading
        worker.started = time.monotonic()

    def _read_ready(self, worker: Worker) -> None:
        assert worker.ready_fd is not None
        # Nothing is read when the process ended, or closed its end without serving.
        if os.read(worker.ready_fd, 64):
            worker.serves = True
            worker.failed_starts = 0
            if worker.restarted:
                self._progress.say(f"Worker {worker.index} serves again")
        os.close(worker.ready_fd)
        worker.ready_fd = None

    def _ended(self, worker: Worker, status: int) -> None:
        if worker.ready_fd is not None:
            self._read_ready(worker)
        lived = time.monotonic() - worker.started
        if not worker.serves:
            worker.failed_starts += 1
        self._forget(worker)
        ending = f"signal {-status}" if status < 0 else f"status {status}"
        if worker.failed_starts >= FAILED_STARTS_ALLOWED:
            raise ServeError(
                f"Worker {worker.index} could not start {FAILED_STARTS_ALLOWED} times in a row ({ending}); "
                "its last words are above."
            )
        wait = worker.back_off.after(lived)
        worker.start_at = time.monotonic() + wait
        worker.restarted = True
        self._progress.notice(f"Worker {worker.index} ended ({ending}); starting it again in {wait:g} s")

    @staticmethod
    def _forget(worker: Worker) -> None:
        if worker.ready_fd is not None:
            os.close(worker.ready_fd)
        worker.process = None
        worker.ready_fd = None
        worker.serves = False
