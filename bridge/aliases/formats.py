"""Named formats of single values: the only places where an alias changes more than a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.json_guard import JsonValue
from bridge.message_reader import FieldProblem


@dataclass(frozen=True, slots=True)
class OutFormat:
    """A format of an answer's value."""

    write: Callable[[Any], Any]
    sentence: str
    schema: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class InFormat:
    """A format of a request's value. `read` takes the value and its documented name; raises `FieldProblem`."""

    read: Callable[[JsonValue, str], JsonValue]
    sentence: str
    schema: tuple[tuple[str, Any], ...]


def time_ms(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time_ms(value: Any) -> Any:
    return time_ms(datetime.fromisoformat(value)) if isinstance(value, str) else value


def _user_message(value: JsonValue, name: str) -> JsonValue:
    if not isinstance(value, str):
        raise FieldProblem(name, "must be text")
    return [{"role": "user", "content": value}]


FORMATS = {
    "time_ms": OutFormat(
        _time_ms,
        "A time as ISO 8601 in UTC with exactly three decimals and `Z`.",
        (("type", "string"), ("format", "date-time")),
    ),
}
"""Formats of answers."""

IN_FORMATS = {
    "user_message": InFormat(
        _user_message,
        "A text as the only message of a conversation, from the user.",
        (("type", "string"),),
    ),
}
"""Formats of requests."""
