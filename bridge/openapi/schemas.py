"""Messages and enums as JSON Schema, each once among the document's components."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from bridge.openapi import constraints
from bridge.openapi.comments import Comments
from bridge.openapi.constraints import Schema
from bridge.scalars import is_decimal
from tollbridge.options.v1 import options_pb2

_TYPE = FieldDescriptor
_INT32: Schema = {"type": "integer", "format": "int32"}
_INT64: Schema = {"type": "integer", "format": "int64"}
_UNSIGNED: Schema = {"type": "integer", "minimum": 0}
_SCALARS: dict[int, Schema] = {
    _TYPE.TYPE_INT32: _INT32,
    _TYPE.TYPE_SINT32: _INT32,
    _TYPE.TYPE_SFIXED32: _INT32,
    _TYPE.TYPE_INT64: _INT64,
    _TYPE.TYPE_SINT64: _INT64,
    _TYPE.TYPE_SFIXED64: _INT64,
    _TYPE.TYPE_UINT32: _UNSIGNED,
    _TYPE.TYPE_FIXED32: _UNSIGNED,
    _TYPE.TYPE_UINT64: _UNSIGNED,
    _TYPE.TYPE_FIXED64: _UNSIGNED,
    _TYPE.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _TYPE.TYPE_FLOAT: {"type": "number", "format": "float"},
    _TYPE.TYPE_BOOL: {"type": "boolean"},
    _TYPE.TYPE_STRING: {"type": "string"},
    _TYPE.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
        "additionalProperties": True,
    },
    "google.protobuf.Empty": {"type": "object"},
    "google.api.HttpBody": {"type": "string", "format": "binary"},
    "google.protobuf.DoubleValue": {"type": ["number", "null"]},
    "google.protobuf.FloatValue": {"type": ["number", "null"]},
    "google.protobuf.Int32Value": {"type": ["integer", "null"], "format": "int32"},
    "google.protobuf.Int64Value": {"type": ["integer", "null"], "format": "int64"},
    "google.protobuf.UInt32Value": {"type": ["integer", "null"], "minimum": 0},
    "google.protobuf.UInt64Value": {"type": ["integer", "null"], "minimum": 0},
    "google.protobuf.BoolValue": {"type": ["boolean", "null"]},
    "google.protobuf.StringValue": {"type": ["string", "null"]},
    "google.protobuf.BytesValue": {"type": ["string", "null"], "contentEncoding": "base64"},
}


class Schemas:
    """Collects the components that the document refers to."""

    def __init__(self, comments: Comments, pool: DescriptorPool) -> None:
        self._comments = comments
        self._pool = pool
        self._components: dict[str, Schema] = {}

    def components(self) -> dict[str, Schema]:
        """All that was referred to, by name, in order."""
        return dict(sorted(self._components.items()))

    def message(self, message: Descriptor) -> Schema:
        """A reference to a message's schema, or the schema itself where its JSON form is no object of its fields."""
        known = _WELL_KNOWN.get(message.full_name)
        if known is not None:
            return dict(known)
        name = _component_name(message.full_name)
        if name not in self._components:
            self._components[name] = {}  # stands there already when a message holds itself
            self._components[name] = self.object(message, frozenset())
        return {"$ref": f"#/components/schemas/{name}"}

    def named(self, full_name: str) -> Schema:
        """The same for a message that is given by its full name."""
        return self.message(self._pool.FindMessageTypeByName(full_name))

    def descriptor(self, full_name: str) -> Descriptor:
        """The message of a full name."""
        return self._pool.FindMessageTypeByName(full_name)

    def object(self, message: Descriptor, without: frozenset[str]) -> Schema:
        """A message's own schema, without some of its fields."""
        fields = [field for field in message.fields if field.name not in without]
        schema: Schema = {"type": "object"}
        _describe(schema, self._comments.text(message.full_name))
        schema["properties"] = {field.name: self.field(field) for field in fields}
        required = [field.name for field in fields if constraints.is_required(field)]
        if required:
            schema["required"] = required
        return schema

    def field(self, field: FieldDescriptor) -> Schema:
        """A field's schema, with its comment and the rules that JSON Schema can say."""
        rules = constraints.rules_of(field)
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            values = self._value(entry.fields_by_name["value"], rules.map.values)
            schema: Schema = {"type": "object", "additionalProperties": values}
        elif field.is_repeated:
            items = self._value(field, rules.repeated.items)
            schema = {"type": "array", "items": items, **constraints.list_keywords(rules)}
        else:
            schema = self._value(field, rules)
        _describe(schema, self._comments.text(field.full_name))
        return schema

    def _value(self, field: FieldDescriptor, rules: Any) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        schema = {**_SCALARS[field.type], **constraints.keywords(rules)}
        if is_decimal(field):
            schema.update(_decimal_keywords(field))
        return schema

    def _enum(self, enum: EnumDescriptor) -> Schema:
        name = _component_name(enum.full_name)
        if name not in self._components:
            schema: Schema = {"type": "string", "enum": [value.name for value in enum.values]}
            lines = [self._comments.text(enum.full_name)]
            scope = enum.full_name
            lines += [f"- `{value.name}`: {self._comments.text(f'{scope}.{value.name}')}" for value in enum.values]
            _describe(schema, "\n".join(line for line in lines if line))
            self._components[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}


def _component_name(full_name: str) -> str:
    return full_name.removeprefix("tollbridge.")


def _describe(schema: Schema, text: str) -> None:
    if text:
        schema["description"] = text


def _decimal_keywords(field: FieldDescriptor) -> Schema:
    """Decimal text; a number is taken too, by the digits that it is written with."""
    decimals = field.GetOptions().Extensions[options_pb2.decimal].max_decimals
    fraction = f"(\\.[0-9]{{1,{decimals}}})?" if decimals else ""
    return {"type": ["string", "number"], "pattern": f"^[0-9]+{fraction}$"}
