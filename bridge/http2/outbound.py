"""Requests on their way out, as far as the server's windows let them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.http2 import frames


@dataclass(slots=True)
class _Waiting:
    """What is left of one request."""

    rest: memoryview
    window: int


class Outbound:
    """One connection's. A request that fits into the windows goes out in one write."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._window = frames.INITIAL_WINDOW
        self._first_window = frames.INITIAL_WINDOW
        self._most = frames.SMALLEST_FRAME
        self._waiting: dict[int, _Waiting] = {}

    def send(self, stream: int, head: bytes, body: bytes) -> None:
        """A call's header frames and its whole request."""
        size = len(body)
        if size <= self._most and size <= self._window and size <= self._first_window:
            self._window -= size
            self._write(head + frames.frame(frames.DATA, frames.END_STREAM, stream, body))
            return
        self._write(head)
        self._waiting[stream] = _Waiting(memoryview(body), self._first_window)
        self._go_on()

    def drop(self, stream: int) -> None:
        """Nothing more of this call."""
        self._waiting.pop(stream, None)

    def set(self, first_window: int | None, most: int | None) -> None:
        """What the server's settings say; windows that are open change by the difference."""
        if first_window is not None:
            for waiting in self._waiting.values():
                waiting.window += first_window - self._first_window
            self._first_window = first_window
        if most is not None:
            self._most = max(most, frames.SMALLEST_FRAME)
        self._go_on()

    def widen(self, stream: int, size: int) -> bool:
        """Opens a call's window, or with stream 0 the connection's. False where it got larger than windows can be."""
        if stream == 0:
            self._window += size
            if self._window > frames.LARGEST_WINDOW:
                return False
        else:
            waiting = self._waiting.get(stream)
            if waiting is None:
                return True
            waiting.window += size
            if waiting.window > frames.LARGEST_WINDOW:
                return False
        if self._waiting:
            self._go_on()
        return True

    def _go_on(self) -> None:
        # A frame of each in turn, so that a large request holds up no small one.
        sent = True
        while sent and self._window > 0:
            sent = False
            for stream, waiting in tuple(self._waiting.items()):
                size = min(len(waiting.rest), self._most, self._window, waiting.window)
                if size <= 0:
                    continue
                sent = True
                self._window -= size
                waiting.window -= size
                part, waiting.rest = bytes(waiting.rest[:size]), waiting.rest[size:]
                last = not waiting.rest
                self._write(frames.frame(frames.DATA, frames.END_STREAM if last else 0, stream, part))
                if last:
                    del self._waiting[stream]
