"""Reads JSON text strictly: what passes here can be turned into a message without surprises.

Refused: bytes that are not UTF-8, a byte order mark, NaN and Infinity, numbers beyond a double, lone surrogates,
nesting deeper than 100, and a name that stands twice in one object.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import orjson

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

MAX_DEPTH = 100
"""Deepest nesting of arrays and objects."""


class JsonError(ValueError):
    """The text is not acceptable JSON; the message is ours and may be shown."""


class Number(float):
    """A JSON number with a fraction or an exponent that remembers how it was written."""

    __slots__ = ("lexeme",)
    lexeme: str

    def __new__(cls, lexeme: str) -> Number:
        number = super().__new__(cls, lexeme)
        number.lexeme = lexeme
        return number


def read_json(text: bytes) -> JsonValue:
    """Parses one JSON value. Numbers with a fraction or exponent are `Number`. Raises `JsonError`."""
    _check_syntax(text)
    try:
        value: JsonValue = _DECODER.decode(text.decode("utf-8"))
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    _check_depth(value)
    return value


_TOO_DEEP = f"The JSON is nested deeper than {MAX_DEPTH} levels."


def _check_syntax(text: bytes) -> None:
    # orjson is strict about UTF-8, surrogates, byte order marks and the range of numbers, and stops at depth 1,024,
    # so that the standard decoder after it cannot run away.
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise JsonError(_explain(text, error)) from None


def _explain(text: bytes, error: orjson.JSONDecodeError) -> str:
    if not text.strip(b" \t\r\n"):
        return "The body is empty; a JSON value was expected."
    if text.startswith(b"\xef\xbb\xbf"):
        return "The JSON starts with a byte order mark; send plain UTF-8."
    if "depth" in error.msg:
        return _TOO_DEEP
    if "UTF-8" in error.msg:
        return "The JSON is not valid UTF-8."
    if "infinity" in error.msg:
        return "The JSON holds a number that is out of range."
    return f"The body is not valid JSON (line {error.lineno}, column {error.colno})."


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise JsonError(f"The JSON names {name[:100]!r} twice in one object.")
            seen.add(name)
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_read_object, parse_float=Number)


def _check_depth(value: JsonValue) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, (dict, list))
        ]
    if level:
        raise JsonError(_TOO_DEEP)
