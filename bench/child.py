"""Starting the programs of a benchmark on a core of their own, so that none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from cli.embedded.parent_death import die_with_parent

STOP_SECONDS: Final = 25.0
"""`serve` promises to stop everything within 20 s of SIGINT."""


class ProgramFailed(Exception):
    """A program of the benchmark ended early or did not get ready; the text shows the end of its output."""


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    core: int,
    log: IO[bytes],
    stop_signal: signal.Signals = signal.SIGTERM,
    environment: dict[str, str] | None = None,
    reads_stdout: bool = True,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` in a session of its own, pinned to `core` with all its children.

    Its stdout is a pipe, or goes to `log` like stderr where nobody `reads_stdout`.

    Afterwards it gets `stop_signal`, and SIGKILL where it is still there after STOP_SECONDS. It also gets
    `stop_signal` when this process dies.
    """
    parent = os.getpid()

    def in_child() -> None:
        os.sched_setaffinity(0, {core})
        die_with_parent(parent, stop_signal)

    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if reads_stdout else log,
        stderr=log,
        env=environment,
        start_new_session=True,
        preexec_fn=in_child,  # noqa: PLW1509  the benchmark has one thread
    )
    try:
        yield process
    finally:
        stop(process, stop_signal)


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """Ends a process that `running` started, if it still runs, and closes its pipe."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def read_line(process: subprocess.Popen[bytes], log: Path) -> bytes:
    """The next line of the process's stdout. Raises ProgramFailed where it ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ProgramFailed(f"{Path(str(process.args[0])).name} ended early\n{tail(log)}")  # type: ignore[index]
    return line


def tail(log: Path, lines: int = 30) -> str:
    """The last lines of a log file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
