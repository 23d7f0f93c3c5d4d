"""Telling whoever started us what is going on: lines for a person, JSON lines for a program."""

import contextlib
import datetime
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Final, TextIO

GREEN: Final = "\x1b[32m"
RED: Final = "\x1b[31m"
YELLOW: Final = "\x1b[33m"
DIM: Final = "\x1b[2m"
RESET: Final = "\x1b[0m"
CLEAR_LINE: Final = "\r\x1b[2K"


class Progress:
    """What the supervisor says while it starts, runs and stops, on the standard error."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        """Colours and rewritten lines are for a terminal only; NO_COLOR is honoured."""
        self._stream = stream
        self._terminal = stream.isatty()
        self._colour = self._terminal and not os.environ.get("NO_COLOR")

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Names a part while it is under way, and how long it took once it is done; silent about one that failed."""
        started = time.monotonic()
        if self._terminal:
            self._write(f"  … {title}")
        try:
            yield
        except BaseException:
            if self._terminal:
                self._write(f"{CLEAR_LINE}{self._painted(RED, '  ✗')} {title}\n")
            raise
        seconds = time.monotonic() - started
        if self._terminal:
            self._write(f"{CLEAR_LINE}{self._painted(GREEN, '  ✓')} {title} {self._painted(DIM, f'{seconds:.1f} s')}\n")
        else:
            self._log("info", title, seconds=round(seconds, 3))

    def say(self, text: str) -> None:
        """Something that is as it should be."""
        if self._terminal:
            self._write(f"  {self._painted(DIM, text)}\n")
        else:
            self._log("info", text)

    def notice(self, text: str) -> None:
        """Something that an operator should know, while the start or the service goes on."""
        if self._terminal:
            self._write(f"{self._painted(YELLOW, '  !')} {text}\n")
        else:
            self._log("warning", text)

    def failure(self, text: str) -> None:
        """Why the start is given up: a plain sentence, terminal or not."""
        self._write(f"{self._painted(RED, 'tollbridge:')} {text}\n")

    def _log(self, level: str, event: str, **fields: object) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(
            json.dumps({"event": event, "level": level, "timestamp": now, **fields}, separators=(",", ":")) + "\n"
        )

    def _painted(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET}" if self._colour else text

    def _write(self, text: str) -> None:
        # A reader that went away must not take the service down with it.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
