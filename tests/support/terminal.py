"""A command on a pseudo-terminal, for tests of what people see and type."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """One running command; what it wrote is read as it comes."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self.raw = ""
        self._seen = 0

    def type(self, text: str) -> None:
        """As if it were typed."""
        os.write(self._master, text.encode())

    def wait_for(self, pattern: str, seconds: float = 20.0) -> str:
        """What was written since the last wait up to the pattern, without escapes. Raises AssertionError."""
        give_up = time.monotonic() + seconds
        while True:
            text = _ESCAPES.sub("", self.raw[self._seen :])
            if re.search(pattern, text):
                self._seen = len(self.raw)
                return text
            assert time.monotonic() < give_up, f"{pattern!r} did not come:\n{self.raw}"
            if not self._read(min(0.2, seconds)) and self.process.poll() is not None:
                raise AssertionError(f"{pattern!r} did not come before the end:\n{self.raw}")

    def wait_end(self, seconds: float = 20.0) -> int:
        """Its exit status, once it ended."""
        give_up = time.monotonic() + seconds
        while self.process.poll() is None:
            self._read(0.05)
            assert time.monotonic() < give_up, self.raw
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._master], [], [], seconds)
        if not readable:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def on_terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """The command with a terminal of 100 columns as its input, output and controlling terminal."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        command,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509 - the only way to a controlling terminal
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        os.close(master)
