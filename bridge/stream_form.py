"""The forms in which a stream of messages is written: what stands around each message, and how an error is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge import headers as header_sets


@dataclass(frozen=True, slots=True)
class StreamForm:
    """Bytes around messages. Every message is written whole, at once."""

    content_type: str
    write_error: Callable[[bytes], bytes] | None
    """Writes an error after the first message, from its JSON; None: it cannot be told, the connection is cut."""
    opening: bytes = b""
    between: bytes = b""
    """Before every message but the first, and before an error."""
    before: bytes = b""
    after: bytes = b""
    closing: bytes = b""
    ends_anywhere: bool = False
    """Whether a message can end inside a line, because the server writes the form itself."""
    ping: bytes = b""
    """What breaks a long silence between messages; empty: nothing."""

    def headers(self) -> dict[str, str]:
        """The headers of such an answer."""
        return {**header_sets.EVENT_STREAM, "content-type": self.content_type}


def _error_event(error: bytes) -> bytes:
    return b"data: " + error + b"\n\n"


EVENTS = StreamForm("text/event-stream", _error_event, before=b"data: ", after=b"\n\n", ping=b": ping\n")
"""Server-sent events, one a message; an error is an event like the others, as OpenAI's clients read it."""

RAW_EVENTS = StreamForm("text/event-stream", _error_event, ends_anywhere=True, ping=b": ping\n")
"""Server-sent events that the server writes itself."""


def raw_form(content_type: str) -> StreamForm:
    """Bytes that the server writes itself, of a type in which nothing can be added."""
    return StreamForm(content_type or "application/octet-stream", None)
