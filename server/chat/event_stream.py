"""Splits server-sent events (WHATWG HTML, section 9.2.6) into the payloads of their `data` lines."""

from __future__ import annotations

from typing import Final

MAX_EVENT_BYTES: Final = 1 << 20

DONE: Final = b"[DONE]"
"""The payload that ends OpenAI's streams."""

_FRAME: Final = b"data: "
_END: Final = b"\n\n"


class EventTooLargeError(Exception):
    """One event has more than 1 MB."""


class EventSplitter:
    """Takes the bytes of a stream as they come and gives the events that are complete."""

    __slots__ = ("_after_return", "_rest", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._started = False
        self._after_return = False

    @property
    def incomplete(self) -> bool:
        """Whether bytes of an unfinished event are left."""
        return bool(self._rest.strip())

    def take_done(self) -> bool:
        """Whether what is left is `[DONE]` without the blank line after it; it is taken then."""
        if _payload(self._rest.strip()) != DONE:
            return False
        self._rest = b""
        return True

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads of the events that ended, in order. Comments and events without data give none.

        A payload of several lines keeps them joined by a line feed. Raises `EventTooLargeError`.
        """
        if self._started and not self._rest and _is_one_event(data) and not self._after_return:
            return [data[len(_FRAME) : -len(_END)]]
        if b"\r" in data or self._after_return:
            data = self._normalise(data)
        if not self._started:
            self._started = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        if self._rest:
            data = self._rest + data
        events = data.split(_END)
        if len(data) > MAX_EVENT_BYTES and max(map(len, events)) > MAX_EVENT_BYTES:
            raise EventTooLargeError
        self._rest = events.pop()
        return [payload for event in events if (payload := _payload(event)) is not None]

    def _normalise(self, data: bytes) -> bytes:
        """Turns CR LF and CR into LF. A CR at the end waits, as LF, for the LF that may follow."""
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
        self._after_return = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def frame(payload: bytes) -> bytes:
    """The event of one payload, which has no line feeds."""
    return b"data: %b\n\n" % payload


def _is_one_event(data: bytes) -> bool:
    """Whether it is one event of one line, as most providers send them: then there is nothing to split."""
    if len(data) > MAX_EVENT_BYTES or not (data.startswith(_FRAME) and data.endswith(_END)):
        return False
    return data.count(b"\n") == len(_END) and b"\r" not in data


def _payload(event: bytes) -> bytes | None:
    if event.startswith(_FRAME) and b"\n" not in event:
        return event[len(_FRAME) :]
    lines = [_value(line) for line in event.split(b"\n") if line == b"data" or line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")
