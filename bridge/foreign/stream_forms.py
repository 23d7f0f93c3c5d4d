"""The forms of a stream that a client can ask for with Accept.

`application/x-ndjson` (or jsonl): a message a line. `application/json`: one array. Everything else, and no wish at all:
server-sent events. An error after the first message is `{"error": {code, message, details}}` in the same form: the
last line, the last element, or an event of the type `error`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge import stream_form
from bridge.stream_form import StreamForm


def _wrap(error: bytes) -> bytes:
    return b'{"error":' + error + b"}"


def _event(error: bytes) -> bytes:
    return b"event: error\ndata: " + _wrap(error) + b"\n\n"


def _line(error: bytes) -> bytes:
    return _wrap(error) + b"\n"


EVENTS = StreamForm("text/event-stream", _event, before=b"data: ", after=b"\n\n", ping=stream_form.EVENTS.ping)
RAW_EVENTS = StreamForm("text/event-stream", _event, ends_anywhere=True, ping=stream_form.EVENTS.ping)
LINES = StreamForm("application/x-ndjson", _line, after=b"\n")
ARRAY = StreamForm("application/json", _wrap, opening=b"[", between=b",\n", closing=b"]")

_FORMS = {
    "text/event-stream": EVENTS,
    "application/x-ndjson": LINES,
    "application/ndjson": LINES,
    "application/jsonl": LINES,
    "application/json": ARRAY,
}


def choose_form(accept: Sequence[str]) -> StreamForm:
    """The form that the Accept headers like best (RFC 9110, 12.5.1); of equals, the first named."""
    best, best_quality = EVENTS, 0.0
    for entry in ",".join(accept).lower().split(","):
        media_type, *parameters = entry.split(";")
        form, quality = _FORMS.get(media_type.strip()), _quality(parameters)
        if form is not None and quality > best_quality:
            best, best_quality = form, quality
    return best


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
