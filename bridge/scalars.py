"""One value of a field, from JSON or from the text of a path or query, checked against the field's type.

What proto3 JSON allows is taken (a 64-bit integer as text, an enum by name or number, both alphabets of base64), but
nothing is guessed: a fraction for an integer is refused, and unless the rules are canonical so are an enum number that
the proto does not name and a number that is not finite.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from bridge.json_guard import JsonValue, Number
from bridge.read_rules import NARROW, ReadRules
from tollbridge.options.v1 import options_pb2

Scalar: TypeAlias = int | float | str | bytes | bool

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_FLOAT = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_BASE64 = re.compile(r"[A-Za-z0-9+/\-_]*={0,2}")
_LARGEST_FLOAT = 3.4028234663852886e38
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WORDS = {"true": True, "false": False}
_MORE_WORDS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "False"), False),
    **_WORDS,
}
_NULL = "google.protobuf.NullValue"

_BOUNDS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class WrongValue(ValueError):
    """A value that its field cannot hold. The text continues the sentence "<field> …", for instance "must be …"."""


def from_json(field: FieldDescriptor, value: JsonValue, rules: ReadRules = NARROW) -> Scalar:
    """A scalar from its JSON value. Raises `WrongValue`."""
    return _FROM_JSON[field.cpp_type](field, value, rules)


def from_text(field: FieldDescriptor, text: str, rules: ReadRules = NARROW) -> Scalar:
    """A scalar from a path or query. Raises `WrongValue`."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        word = (_MORE_WORDS if rules.canonical else _WORDS).get(text)
        if word is None:
            raise WrongValue("must be true or false")
        return word
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM and _INTEGER.fullmatch(text):
        return _enum_from_json(field, int(text), rules)
    return from_json(field, text, rules)


@cache
def is_decimal(field: FieldDescriptor) -> bool:
    """Whether the field is a string that holds a decimal number, so that JSON may carry it as one."""
    return bool(field.GetOptions().HasExtension(options_pb2.decimal))


def _number(value: JsonValue, pattern: re.Pattern[str]) -> str | int | float | None:
    """The value where it is a number or a text that reads as one, else None."""
    if isinstance(value, str):
        return value if pattern.fullmatch(value) else None
    return None if isinstance(value, (bool, dict, list)) else value


def _integer_from_json(field: FieldDescriptor, value: JsonValue, _: ReadRules) -> int:
    low, high = _BOUNDS[field.cpp_type]
    written = _number(value, _INTEGER)
    if written is None or (isinstance(written, float) and not written.is_integer()):
        raise WrongValue("must be an integer")
    number = int(Decimal(written.lexeme)) if isinstance(written, Number) else int(written)
    if not low <= number <= high:
        raise WrongValue(f"must be an integer from {low} to {high}")
    return number


def _float_from_json(field: FieldDescriptor, value: JsonValue, rules: ReadRules) -> float:
    if rules.canonical and isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    written = _number(value, _FLOAT)
    if written is None:
        raise WrongValue("must be a number")
    number = float(written)
    if not math.isfinite(number):
        raise WrongValue("must be a finite number")
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT and abs(number) > _LARGEST_FLOAT:
        raise WrongValue("is out of range for a 32-bit float")
    return number


def _bool_from_json(_: FieldDescriptor, value: JsonValue, __: ReadRules) -> bool:
    if not isinstance(value, bool):
        raise WrongValue("must be true or false")
    return value


def _enum_from_json(field: FieldDescriptor, value: JsonValue, rules: ReadRules) -> int:
    known = field.enum_type
    assert known is not None
    if isinstance(value, str) and value in known.values_by_name:
        return known.values_by_name[value].number
    if value is None and known.full_name == _NULL:
        return 0
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, int) and not isinstance(number, bool):
        if number in known.values_by_number:
            return number
        if rules.canonical and not known.is_closed and -(2**31) <= number < 2**31:
            return number
    names = ", ".join(list(known.values_by_name)[:20])
    raise WrongValue(f"must be one of {names}")


def _string_from_json(field: FieldDescriptor, value: JsonValue, rules: ReadRules) -> str | bytes:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes_from_json(value)
    if isinstance(value, str):
        if "\x00" in value and not rules.canonical:
            raise WrongValue("must not hold a NUL character")
        return value
    if is_decimal(field) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _decimal_from_number(value)
    raise WrongValue("must be a decimal number, as text or number" if is_decimal(field) else "must be text")


def _decimal_from_number(value: int | float) -> str:
    lexeme = value.lexeme if isinstance(value, Number) else str(value)
    if not _DECIMAL.fullmatch(lexeme):
        raise WrongValue("must be a plain decimal number such as 100.25, without sign or exponent")
    return lexeme


def _bytes_from_json(value: JsonValue) -> bytes:
    if not isinstance(value, str) or not _BASE64.fullmatch(value):
        raise WrongValue("must be base64 text")
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        raise WrongValue("must be base64 text") from None


_FROM_JSON: dict[int, Callable[[FieldDescriptor, JsonValue, ReadRules], Scalar]] = {
    **dict.fromkeys(_BOUNDS, _integer_from_json),
    FieldDescriptor.CPPTYPE_DOUBLE: _float_from_json,
    FieldDescriptor.CPPTYPE_FLOAT: _float_from_json,
    FieldDescriptor.CPPTYPE_BOOL: _bool_from_json,
    FieldDescriptor.CPPTYPE_ENUM: _enum_from_json,
    FieldDescriptor.CPPTYPE_STRING: _string_from_json,
}
