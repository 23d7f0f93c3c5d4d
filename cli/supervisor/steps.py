"""The children that end: the check of the settings, and the preparation of the database.

Each step is a generator that yields while its child runs, so that whoever starts up may wait for it, and whoever serves
meanwhile may look at it between other things.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from cli.launch import Launch
from cli.supervisor.errors import ServeError, StepFailedError
from cli.supervisor.events import Events
from cli.supervisor.options import Commands
from cli.supervisor.python_child import start_python_child

TERMINATION_SECONDS = 5.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Prepared:
    """What the preparation found or made. The secrets come until a start has shown them."""

    model: str | None
    """A model that the first key can call."""
    api_key: str | None = None
    admin_email: str | None = None
    admin_password: str | None = None

    @property
    def secrets(self) -> dict[str, str]:
        """The first start's secrets by name, or nothing."""
        named = {
            "api_key": self.api_key,
            "admin_email": self.admin_email,
            "admin_password": self.admin_password,
        }
        return {name: value for name, value in named.items() if value is not None}


def check_settings(commands: Commands, launch: Launch) -> Generator[None, None, None]:
    """Ends when the settings are good. Raises StepFailedError after the child has said what is wrong."""
    with _running(start_python_child(commands.check, launch, ())) as child:
        yield from _succeed(child)


def prepare_database(commands: Commands, launch: Launch) -> Generator[None, None, Prepared]:
    """Brings the database to this version. Raises StepFailedError after the child has said what is wrong."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as result:
        try:
            child = start_python_child(commands.prepare, replace(launch, result_fd=writing), (writing,))
        finally:
            os.close(writing)
        with _running(child):
            yield from _succeed(child)
        return _prepared(result.read())


def wait_for(step: Generator[None, None, Result], events: Events) -> Result:
    """The step's result. Raises what it raises, and StopRequestedError."""
    with contextlib.closing(step):
        while True:
            try:
                next(step)
            except StopIteration as done:
                result: Result = done.value
                return result
            events.wait_or_stop(None)


def _prepared(text: bytes) -> Prepared:
    try:
        values: dict[str, Any] = json.loads(text)
        return Prepared(**{name: values.get(name) for name in Prepared.__dataclass_fields__})
    except (ValueError, AttributeError) as error:
        raise ServeError("The preparation of the database did not report its result.") from error


def _succeed(child: subprocess.Popen[bytes]) -> Generator[None, None, None]:
    while child.poll() is None:
        yield
    if child.returncode != 0:
        raise StepFailedError(child.returncode)


@contextlib.contextmanager
def _running(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(TERMINATION_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
