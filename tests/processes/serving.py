"""A supervisor over stand-in children, as a process of its own."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from cli.supervisor.options import VARIABLE, ServeOptions
from tests.processes.ordinary_user import OrdinaryUser
from tests.processes.processes import children_of, wait_until_gone

START_SECONDS = 40.0
STOP_SECONDS = 20.0
# What the operator's own shell may have set must not reach a test.
CLEARED = ("ENVIRONMENT", "DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "HOST", "PORT", "NO_COLOR")


def environment(**extra: str) -> dict[str, str]:
    """Ours without what configures a server."""
    return {**{name: value for name, value in os.environ.items() if name not in CLEARED}, **extra}


class Serving:
    """One supervisor; leaving the block ends it and everything beneath it."""

    def __init__(
        self, folder: Path, variables: Mapping[str, str] | None = None, user: OrdinaryUser | None = None, **options: Any
    ) -> None:
        """`folder` gets `data` and `ready.json`; `options` are ServeOptions'; `user` is who runs it, if not we."""
        self.data = folder / "data"
        self.ready_file = folder / "ready.json"
        defaults = ServeOptions(data_dir=self.data, http_port=0, grpc_port=0, ready_file=self.ready_file)
        text = replace(defaults, **options).to_json()
        self.process = subprocess.Popen(
            [user.python if user else sys.executable, "-P", "-B", "-m", "tests.processes.supervise"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**{VARIABLE: text}, **(user.environment if user else {}), **(variables or {})),
            cwd=folder,
            start_new_session=True,
            user=user.id if user else None,
            group=user.id if user else None,
            extra_groups=None if user is None else [],
        )
        self.output = b""
        self.complaints = b""

    def __enter__(self) -> Self:
        """The running supervisor."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends the supervisor and waits for its children."""
        children = self.children()
        if self.process.poll() is None:
            self.process.kill()
        if kind is not None:
            # A failed test may leave a child that would hold our pipes open for ever.
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self.process.communicate()
        wait_until_gone(list(children), STOP_SECONDS)

    def wait_ready(self) -> dict[str, str]:
        """Waits for the banner; returns what the ready file says."""
        give_up = time.monotonic() + START_SECONDS
        while b"curl " not in self.output or not self.output.endswith(b"\n"):
            chunk = _read(self.process.stdout, give_up)
            assert chunk, f"no banner; it said {self.output!r} and {self._killed()}"
            self.output += chunk
        values: dict[str, str] = json.loads(self.ready_file.read_text())
        return values

    def wait_for_complaint(self, text: str) -> None:
        """Waits until the standard error has said `text`."""
        give_up = time.monotonic() + START_SECONDS
        while text.encode() not in self.complaints:
            chunk = _read(self.process.stderr, give_up)
            assert chunk, f"{text!r} was not said, but {self._killed()}"
            self.complaints += chunk

    def answering_worker(self) -> int:
        """The process id of the worker that answers on the HTTP port."""
        address = json.loads(self.ready_file.read_text())["http"]
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - a loopback address
            return int(answer.read())

    def workers(self) -> set[int]:
        """The process ids of the workers."""
        return {pid for pid, command in self.children().items() if "stand_ins.worker" in command}

    def children(self) -> dict[int, str]:
        """The living children: process id to command line."""
        return children_of(self.process.pid)

    def stop(self, how: signal.Signals = signal.SIGINT, seconds: float = STOP_SECONDS) -> tuple[int, str]:
        """Signals the supervisor's process alone; returns its exit status and what it said on standard error."""
        self.process.send_signal(how)
        return self.wait_end(seconds)

    def wait_end(self, seconds: float) -> tuple[int, str]:
        """Waits for the supervisor's end; returns its exit status and what it said on standard error."""
        output, complaints = self.process.communicate(timeout=seconds)
        self.output += output
        self.complaints += complaints
        return self.process.returncode, self.complaints.decode()

    def _killed(self) -> str:
        self.process.kill()
        return (self.complaints + self.process.communicate()[1]).decode()


def _read(stream: IO[bytes] | None, give_up: float) -> bytes:
    assert stream is not None
    readable, _, _ = select.select([stream], [], [], max(0.0, give_up - time.monotonic()))
    return os.read(stream.fileno(), 65536) if readable else b""
