"""One child process: how it is started, watched and stopped."""

import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.parent_death import die_with_parent

LOG_BYTES_KEPT = 4 * 1024 * 1024


@dataclass(frozen=True)
class StopStep:
    """A signal, and how many seconds it is given to work."""

    signal: signal.Signals
    seconds: float


class Child:
    """A running child process with its output in a log file."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process id, also after its end."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status (negative: the signal that ended it), or None while it runs. Never blocks."""
        return self._process.poll()

    def stop(self, steps: Sequence[StopStep]) -> int:
        """Sends each step's signal until the process ends, SIGKILL last, and returns the exit status."""
        for step in steps:
            if self._process.poll() is not None:
                break
            self._process.send_signal(step.signal)
            try:
                return self._process.wait(step.seconds)
            except subprocess.TimeoutExpired:
                continue
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()


def start_child(
    command: Sequence[str],
    *,
    log: Path,
    death_signal: signal.Signals,
    environment: Mapping[str, str],
    become: Callable[[], None] | None = None,
    inherited: Collection[int] = (),
) -> Child:
    """Starts `command` in a session of its own, its output appended to `log`.

    The child gets `death_signal` when the calling thread ends, so call this from a thread that lives as long as the
    child is wanted. `become` runs in the child and may change its user; `inherited` file descriptors stay open in it.
    Files that it makes are its user's alone.
    Raises EmbeddedServiceError when the program cannot be run.
    """
    parent_pid = os.getpid()

    def before_exec() -> None:
        if become is not None:
            become()
        die_with_parent(parent_pid, death_signal)

    with open(log, "ab", opener=_private) as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                umask=0o077,
                pass_fds=tuple(inherited),
                preexec_fn=before_exec,  # noqa: PLW1509 - it calls nothing but system calls loaded before
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServiceError(f"{command[0]} cannot be run: {error}") from error
    return Child(process)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def rotate_log(log: Path) -> None:
    """Makes room in `log` before a start: a file above 4 MiB becomes `<name>.1`, in place of the one before it."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return
    if size > LOG_BYTES_KEPT:
        log.replace(log.with_name(log.name + ".1"))


def last_lines(log: Path, count: int = 8) -> str:
    """The last `count` lines of `log`, or an empty text when there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            tail = file.read()
    except OSError:
        return ""
    return "\n".join(tail.decode("utf-8", "replace").splitlines()[-count:])
