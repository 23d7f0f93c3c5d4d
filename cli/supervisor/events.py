"""Waiting for whatever comes first: a signal, a child's end, a line from a child, or a time."""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Collection
from types import FrameType
from typing import Final

from cli.supervisor.errors import StopRequestedError

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
HELD_SIGNALS: Final = (*STOP_SIGNALS, signal.SIGHUP)
"""What must not end the process before there is somebody to act on it."""


class Events:
    """This process's signals, turned into something that can be waited for. Make one, in the main thread."""

    def __init__(self) -> None:
        """Takes over SIGINT, SIGTERM, SIGHUP and SIGCHLD."""
        self.stop_requests = 0
        self.reload_requests = 0
        self._had_terminal = _has_terminal()
        self._waking, self._woken = socket.socketpair()
        for end in (self._waking, self._woken):
            end.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hangup)
        # Without a handler of its own, SIGCHLD would not wake anybody.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        # `tollbridge serve` held them back until there was somebody to act on them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)

    def wait(self, seconds: float | None, readable: Collection[int] = ()) -> set[int]:
        """Returns after a signal, after `seconds`, or when something in `readable` can be read: what can be."""
        ready, _, _ = select.select([self._waking.fileno(), *readable], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._waking.recv(4096):
                pass
        return {descriptor for descriptor in ready if descriptor != self._waking.fileno()}

    def wait_or_stop(self, seconds: float | None, readable: Collection[int] = ()) -> set[int]:
        """The same; raises StopRequestedError once a stop was asked for."""
        if self.stop_requests:
            raise StopRequestedError
        found = self.wait(seconds, readable)
        if self.stop_requests:
            raise StopRequestedError
        return found

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requests += 1

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        # The kernel sends the same signal when the terminal is closed that we were started from.
        if self._had_terminal and not _has_terminal():
            self.stop_requests += 1
        else:
            self.reload_requests += 1


def _has_terminal() -> bool:
    return any(os.isatty(descriptor) for descriptor in (0, 1, 2))
