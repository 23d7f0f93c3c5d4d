"""Answers, and how their heads are written (RFC 9112)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from bridge.http.fields import AnswerFields

_NO_BODY: Final = frozenset({204, 304})
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_CLIENT_CLOSED: Final = "HTTP/1.1 499 Client Closed Request\r\n"
_STATUS_LINES[499] = _CLIENT_CLOSED


class BrokenHeadError(ValueError):
    """A field that would end its line early, and so begin one of somebody else's; nothing of the head was sent."""


class Answer(msgspec.Struct):
    """A whole answer, or one that its handler sent already."""

    status: int
    fields: AnswerFields
    body: bytes = b""
    closes: bool = False
    """Whether the connection ends with it."""
    sent: bool = False
    """Whether it went out as a stream; then nothing here is written."""


def write_head(status: int, fields: AnswerFields, date: str, framing: str) -> bytes:
    """The head of an answer with all its lines. `framing`: whole lines about length, coding and connection.

    Raises `BrokenHeadError`.
    """
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    if fields.more:
        lines += [f"{name}: {value}\r\n" for name, value in fields.more]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise BrokenHeadError(f"A field of an answer ({status}) holds a line's end.")
    first = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    try:
        return f"{first}{fields.block}{text}date: {date}\r\n{framing}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise BrokenHeadError(f"A field of an answer ({status}) holds characters that no field can carry.") from None


def has_body(status: int) -> bool:
    """Whether an answer of this status has a body at all, so that its length is told."""
    return status not in _NO_BODY
