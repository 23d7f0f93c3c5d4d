"""A restart that nobody notices: SIGHUP checks everything anew, then puts a new worker in each one's place.

A predecessor leaves only when its successor serves, and the next place's turn comes only when it has left. Whatever
goes wrong leaves those that served before serving.
"""

import time
from collections.abc import Callable, Generator

from cli.launch import Launch
from cli.supervisor.errors import ServeError, StepFailedError
from cli.supervisor.events import Events
from cli.supervisor.options import Commands
from cli.supervisor.progress import Progress
from cli.supervisor.steps import Prepared, check_settings, prepare_database
from cli.supervisor.worker_process import WorkerProcess
from cli.supervisor.workers import Place, Workers


class GivenUpError(Exception):
    """The restart cannot go on; the text is for the operator."""


class RollingRestart:
    """Takes up a request to restart, one at a time, in steps between other things."""

    def __init__(
        self,
        commands: Commands,
        launch: Callable[[], Launch],
        workers: Workers,
        progress: Progress,
        prepared: Callable[[Prepared], None],
    ) -> None:
        """`launch` says what the new workers get, `prepared` hears what the preparation found."""
        self._commands = commands
        self._launch = launch
        self._workers = workers
        self._progress = progress
        self._prepared = prepared
        self._under_way: Generator[None, None, None] | None = None
        self._answered = 0

    def step(self, events: Events) -> None:
        """Goes on as far as it can; a request that comes while one is under way is taken up after it."""
        if self._under_way is None and events.reload_requests > self._answered:
            self._answered = events.reload_requests
            self._under_way = self._run()
        if self._under_way is None:
            return
        try:
            next(self._under_way)
        except StopIteration:
            self._under_way = None

    def close(self) -> None:
        """Ends what is under way; a child of it is terminated."""
        if self._under_way is not None:
            self._under_way.close()
            self._under_way = None

    def _run(self) -> Generator[None, None, None]:
        started = time.monotonic()
        self._progress.say("Restarting the workers one by one: checking the settings and the config file first")
        try:
            yield from check_settings(self._commands, self._launch())
            self._prepared((yield from prepare_database(self._commands, self._launch())))
            for place in self._workers.places:
                yield from self._replace(place)
        except StepFailedError:
            self._give_up("what is wrong is said above")
        except (GivenUpError, ServeError, OSError) as error:
            self._give_up(str(error))
        else:
            count = len(self._workers.places)
            self._progress.say(f"All workers are new ({count} in {time.monotonic() - started:.1f} s)")

    def _replace(self, place: Place) -> Generator[None, None, None]:
        before = place.process
        self._workers.replace(place, self._launch())
        successor = place.successor
        while place.successor is not None:
            yield
        if successor is None or place.process is not successor:
            raise GivenUpError(f"the new worker {place.index} does not serve")
        self._progress.say(_replaced(place, before, successor))
        while place.leaving is not None:
            yield

    def _give_up(self, reason: str) -> None:
        self._progress.notice(f"The restart was given up: {reason}. The workers that serve go on as they are.")


def _replaced(place: Place, before: WorkerProcess | None, successor: WorkerProcess) -> str:
    if before is None:
        return f"Worker {place.index} is new (process {successor.pid})"
    return f"Worker {place.index} is new (process {successor.pid}); process {before.pid} lets its calls end"
