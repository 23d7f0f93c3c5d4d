"""The workers: started, told apart when they are ready, started again when they crash, replaced, drained at the end."""

import time
from dataclasses import dataclass, field
from typing import Final

from cli.launch import Launch
from cli.supervisor.back_off import BackOff
from cli.supervisor.errors import ServeError
from cli.supervisor.events import Events
from cli.supervisor.options import Commands
from cli.supervisor.progress import Progress
from cli.supervisor.worker_process import WorkerProcess, ending

# A worker that ends this often in a row without having served will not serve by being started again.
FAILED_STARTS_ALLOWED: Final = 5


@dataclass
class Place:
    """One place for a worker, and the processes that hold it, are about to, or have left it."""

    index: int
    process: WorkerProcess | None = None
    successor: WorkerProcess | None = None
    """Started beside `process`, which it replaces once it serves."""
    leaving: WorkerProcess | None = None
    """Replaced, and letting its calls end."""
    start_at: float = 0.0
    failed_starts: int = 0
    restarted: bool = False
    announced: bool = False
    back_off: BackOff = field(default_factory=BackOff)

    @property
    def serves(self) -> bool:
        """Whether calls are taken here."""
        return self.process is not None and self.process.serves

    @property
    def processes(self) -> list[WorkerProcess]:
        """All that run here."""
        return [each for each in (self.process, self.successor, self.leaving) if each is not None]

    @property
    def due(self) -> float | None:
        """When (monotonic) something is to be done here without any event."""
        moments = [each.due for each in self.processes]
        if self.process is None and self.successor is None:
            moments.append(self.start_at)
        return min((moment for moment in moments if moment is not None), default=None)


class Workers:
    """All workers of one supervisor."""

    def __init__(self, commands: Commands, launch: Launch, http_fd: int, count: int, progress: Progress) -> None:
        """Nothing is started before `step`."""
        self._commands = commands
        self._launch = launch
        self._http_fd = http_fd
        self._progress = progress
        self.places = [Place(index) for index in range(count)]

    @property
    def all_serve(self) -> bool:
        """Whether every worker serves."""
        return all(place.serves for place in self.places)

    @property
    def ready_fds(self) -> list[int]:
        """What to wait for: a worker says there that it serves."""
        return [each.ready_fd for place in self.places for each in place.processes if each.ready_fd is not None]

    @property
    def due(self) -> float | None:
        """When (monotonic) to call `step` at the latest, None: at no set time."""
        return min((place.due for place in self.places if place.due is not None), default=None)

    def step(self, readable: set[int]) -> None:
        """Does what is due: notes who serves and who ended, starts whom it is time to start.

        Raises ServeError when a worker could not start five times in a row and no other serves.
        """
        for place in self.places:
            self._look_at_leaving(place, readable)
            self._look_at_successor(place, readable)
            self._look_at_process(place, readable)

    def replace(self, place: Place, launch: Launch) -> None:
        """Starts a successor; `step` puts it in its predecessor's place once it serves. Raises ServeError, OSError."""
        self._launch = launch
        place.successor = WorkerProcess(self._commands, launch, place.index, self._http_fd)

    def stop(self, events: Events, requests: int) -> None:
        """Sends SIGTERM and waits until all have ended or outstayed their grace, or until more than `requests` have
        asked to stop; then SIGKILL."""
        running = [each for place in self.places for each in place.processes]
        for process in running:
            process.ask_to_leave()
        while events.stop_requests == requests:
            running = [each for each in running if each.look(set()) is None]
            if not running:
                break
            events.wait(max(0.0, min(each.due or 0.0 for each in running) - time.monotonic()))
        for place in self.places:
            for process in place.processes:
                process.kill()
            place.process = place.successor = place.leaving = None

    def _look_at_leaving(self, place: Place, readable: set[int]) -> None:
        if place.leaving is not None and place.leaving.look(readable) is not None:
            place.leaving = None

    def _look_at_successor(self, place: Place, readable: set[int]) -> None:
        successor = place.successor
        if successor is None:
            return
        status = successor.look(readable)
        if status is not None:
            place.successor = None
            self._progress.notice(
                f"The new worker {place.index} ended ({ending(status)}) before it served; its last words are above"
            )
        elif successor.serves:
            place.successor = None
            place.leaving, place.process = place.process, successor
            place.failed_starts = 0
            place.announced = True
            if place.leaving is not None:
                place.leaving.ask_to_leave()

    def _look_at_process(self, place: Place, readable: set[int]) -> None:
        process = place.process
        if process is None:
            if place.successor is None and place.start_at <= time.monotonic():
                place.announced = False
                place.process = WorkerProcess(self._commands, self._launch, place.index, self._http_fd)
            return
        status = process.look(readable)
        if process.serves and not place.announced:
            place.announced = True
            place.failed_starts = 0
            if place.restarted:
                self._progress.say(f"Worker {place.index} serves again")
        if status is not None:
            self._ended(place, process, status)

    def _ended(self, place: Place, process: WorkerProcess, status: int) -> None:
        if not process.serves:
            place.failed_starts += 1
        place.process = None
        others_serve = any(other.serves for other in self.places)
        if place.failed_starts >= FAILED_STARTS_ALLOWED and not others_serve:
            raise ServeError(
                f"Worker {place.index} could not start {FAILED_STARTS_ALLOWED} times in a row ({ending(status)}); "
                "its last words are above."
            )
        wait = place.back_off.after(time.monotonic() - process.started)
        place.start_at = time.monotonic() + wait
        place.restarted = True
        self._progress.notice(f"Worker {place.index} ended ({ending(status)}); starting it again in {wait:g} s")
