"""The rules of buf.validate that JSON Schema can say."""

from __future__ import annotations

from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

Schema = dict[str, Any]

_NUMBERS = (
    *("float", "double", "int32", "int64", "uint32", "uint64"),
    *("sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"),
)
_FORMATS = ("email", "hostname", "ipv4", "ipv6", "uri", "uuid")


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """The field's rules; empty ones where it has none."""
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[validate_pb2.field]
    return rules


def is_required(field: FieldDescriptor) -> bool:
    """Whether a request without the field can never be valid: required, or its zero value breaks its rules."""
    rules = rules_of(field)
    if rules.required:
        return True
    if rules.ignore != validate_pb2.IGNORE_UNSPECIFIED or field.has_presence:
        return False
    return rules.string.min_len > 0 or rules.repeated.min_items > 0


def keywords(rules: validate_pb2.FieldRules) -> Schema:
    """JSON Schema's keywords for a single value's rules."""
    kind = rules.WhichOneof("type")
    if kind == "string":
        return _string_keywords(rules.string)
    if kind in _NUMBERS:
        return _number_keywords(getattr(rules, kind))
    return {}


def list_keywords(rules: validate_pb2.FieldRules) -> Schema:
    """JSON Schema's keywords for a repeated field's rules, those of its items aside."""
    result: Schema = {}
    if rules.repeated.min_items:
        result["minItems"] = rules.repeated.min_items
    if rules.repeated.HasField("max_items"):
        result["maxItems"] = rules.repeated.max_items
    if rules.repeated.unique:
        result["uniqueItems"] = True
    return result


def _string_keywords(rules: validate_pb2.StringRules) -> Schema:
    result: Schema = {}
    if rules.HasField("const"):
        result["const"] = rules.const
    if rules.HasField("len"):
        result["minLength"] = result["maxLength"] = rules.len
    if rules.min_len:
        result["minLength"] = rules.min_len
    if rules.HasField("max_len"):
        result["maxLength"] = rules.max_len
    if rules.pattern and not rules.pattern.startswith("(?"):
        result["pattern"] = rules.pattern
    allowed = list(getattr(rules, "in"))
    if allowed:
        result["enum"] = allowed
    known = rules.WhichOneof("well_known")
    if known in _FORMATS and getattr(rules, known) is True:
        result["format"] = known
    return result


def _number_keywords(rules: Any) -> Schema:
    result: Schema = {}
    for name, keyword in (
        ("const", "const"),
        ("gte", "minimum"),
        ("gt", "exclusiveMinimum"),
        ("lte", "maximum"),
        ("lt", "exclusiveMaximum"),
    ):
        if rules.HasField(name):
            result[keyword] = getattr(rules, name)
    allowed = list(getattr(rules, "in"))
    if allowed:
        result["enum"] = allowed
    return result
