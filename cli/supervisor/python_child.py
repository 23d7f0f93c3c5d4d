"""Starting one of our own Python processes beneath the supervisor."""

import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence

from cli.embedded.parent_death import die_with_parent
from cli.launch import Launch
from cli.supervisor.errors import ServeError


def start_python_child(
    command: Sequence[str], launch: Launch, inherited: Collection[int], variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts `command` in the supervisor's session and process group, with its output on our standard error.

    It ignores SIGINT and SIGHUP, which a terminal sends to the whole group: only the supervisor decides what happens.
    It gets SIGTERM when the supervisor dies. `variables` are added to its environment. Raises ServeError when it cannot
    be run.
    """
    parent_pid = os.getpid()

    def before_exec() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        die_with_parent(parent_pid, signal.SIGTERM)

    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=2,
            env={**os.environ, **launch.to_environment(), **(variables or {})},
            pass_fds=tuple(inherited),
            preexec_fn=before_exec,  # noqa: PLW1509 - there are no threads in the supervisor
        )
    except OSError as error:
        raise ServeError(f"{command[0]} cannot be run: {error.strerror}.") from error
