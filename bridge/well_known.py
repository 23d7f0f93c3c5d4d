"""Messages whose JSON form is not an object of their fields: times, masks, wrappers, and free-form JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from bridge.json_guard import JsonValue
from bridge.read_rules import NARROW, ReadRules
from bridge.scalars import WrongValue, from_json, from_text

_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?s")
_MASK_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_CAPITAL = re.compile(r"[A-Z]")

_Reader = Callable[[Any, JsonValue, ReadRules], None]


def reader_of(full_name: str) -> _Reader | None:
    """What fills a message of this type from JSON (and raises `WrongValue`); None for ordinary messages."""
    return _READERS.get(full_name)


def read_text(message: Message, text: str, rules: ReadRules = NARROW) -> None:
    """Fills a message that a path or query may carry. Raises `WrongValue`."""
    value_field = cast("Descriptor", message.DESCRIPTOR).fields_by_name.get("value")
    if value_field is None:
        _READERS[message.DESCRIPTOR.full_name](message, text, rules)
        return
    setattr(message, value_field.name, from_text(value_field, text, rules))


def _read_timestamp(message: Any, value: JsonValue, _: ReadRules) -> None:
    problem = "must be an RFC 3339 time such as 2026-01-31T09:30:00Z"
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        raise WrongValue(problem)
    try:
        message.FromJsonString(value)
    except (ValueError, OverflowError):
        raise WrongValue(problem) from None


def _read_duration(message: Any, value: JsonValue, _: ReadRules) -> None:
    problem = "must be a duration in seconds such as 1.5s, at most 10,000 years"
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise WrongValue(problem)
    try:
        message.FromJsonString(value)
    except (ValueError, OverflowError):
        raise WrongValue(problem) from None


def _read_mask(message: Any, value: JsonValue, _: ReadRules) -> None:
    if not isinstance(value, str):
        raise WrongValue("must be field names separated by commas")
    for path in value.split(",") if value else []:
        if not _MASK_PATH.fullmatch(path):
            raise WrongValue("must be field names separated by commas")
        message.paths.append(_CAPITAL.sub(lambda capital: "_" + capital.group().lower(), path))


def _read_wrapper(message: Any, value: JsonValue, rules: ReadRules) -> None:
    message.value = from_json(message.DESCRIPTOR.fields_by_name["value"], value, rules)


def _read_free_form(message: Any, value: JsonValue, rules: ReadRules) -> None:
    if not rules.canonical and _holds_nul(value):
        raise WrongValue("must not hold a NUL character")
    try:
        json_format.ParseDict(cast("dict[str, Any]", value), message, descriptor_pool=message.DESCRIPTOR.file.pool)
    except json_format.ParseError:
        raise WrongValue(f"must be JSON of the form of {message.DESCRIPTOR.full_name}") from None


def _holds_nul(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any("\x00" in name or _holds_nul(item) for name, item in value.items())
    return isinstance(value, list) and any(_holds_nul(item) for item in value)


_READERS: dict[str, _Reader] = {
    "google.protobuf.Timestamp": _read_timestamp,
    "google.protobuf.Duration": _read_duration,
    "google.protobuf.FieldMask": _read_mask,
    **{
        f"google.protobuf.{kind}Value": _read_wrapper
        for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
    },
    **{f"google.protobuf.{name}": _read_free_form for name in ("Struct", "Value", "ListValue")},
}
