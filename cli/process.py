"""What the processes of a split deployment share: their signals, exit status, ready file and sentences."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import uvloop

from cli.supervisor.data_dir import write_private_json
from cli.supervisor.errors import ServeError

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StartError(Exception):
    """The process cannot start; the text is a sentence that names the option or setting."""


def run(work: Callable[[asyncio.Event], Awaitable[None]], refusals: tuple[type[Exception], ...]) -> NoReturn:
    """Runs `work` until it ends, and exits: 0 after a stop that was asked for, 1 where it could not start.

    SIGTERM and SIGINT set the event, whereupon `work` drains and returns; a second one ends the process at once. What
    is in `refusals`, and OSError, is printed as a sentence.
    """
    try:
        uvloop.run(_until_asked(work))
    except (StartError, ServeError) as error:
        refuse(str(error), 1)
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    except refusals as error:
        refuse(str(error), 1)
    sys.exit(0)


def refuse(text: str, status: int) -> NoReturn:
    """Says why on standard error and exits."""
    sys.stderr.write("".join(f"tollbridge: {line}\n" for line in text.splitlines()))
    sys.exit(status)


async def _until_asked(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def asked() -> None:
        stop.set()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, asked)
    await work(stop)


@contextmanager
def ready_file(path: Path | None, facts: Mapping[str, str]) -> Iterator[None]:
    """Has one JSON object at `path` (mode 600) for the length of the block, nothing without a path.

    Raises StartError where it cannot be written.
    """
    if path is None:
        yield
        return
    try:
        write_private_json(path, facts)
    except OSError as error:
        raise StartError(f"--ready-file {path} cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def needed(name: str) -> str:
    """The environment variable's value; exits with 2 where it is not set."""
    value = os.environ.get(name)
    if not value:
        refuse(f"{name} is not set: the process needs an outside server, unlike `tollbridge serve`.", 2)
    return value


def parts(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated option."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
