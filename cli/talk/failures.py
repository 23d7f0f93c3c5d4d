"""What went wrong, as a sentence for whoever types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final


class TalkError(Exception):
    """A call or command that failed; the text is ready to be printed."""


_SENTENCES: Final = {
    401: "The server does not take this key. Set TOLLBRIDGE_API_KEY to another, or give --key.",
    402: "The balance does not cover this call.",
    403: "This key may not do that.",
}
"""By HTTP status; the server's own message follows where it says more."""


def failure(status: int, headers: Mapping[str, str], body: bytes) -> TalkError:
    """The error for an answer that is no success."""
    message = message_of(_parsed(body)) or f"The server answered {status}."
    if status == 429:
        wait = headers.get("Retry-After")
        return TalkError(f"{message} Wait {wait} s, then ask again." if wait else f"{message} Ask again later.")
    sentence = _SENTENCES.get(status)
    if sentence is None:
        return TalkError(message)
    return TalkError(sentence if status == 401 else f"{sentence} {message}")


def message_of(parsed: object) -> str:
    """The message of OpenAI's error body; empty where there is none."""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
