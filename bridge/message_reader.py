"""Fills messages from JSON values, naming the field in every refusal.

A field may be spelled as in the proto or in camelCase, but stand there once; unknown fields are refused. `null` leaves
a field unset.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from bridge import scalars, well_known
from bridge.json_guard import JsonValue
from bridge.scalars import WrongValue

_VALUE = "google.protobuf.Value"


class FieldProblem(ValueError):
    """A value that cannot be read. `field` is its path in the request, "" for the whole; the text may be shown."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field} {description}." if field else f"The body {description}.")
        self.field = field
        self.description = description


@cache
def fields_by_any_name(message: Descriptor) -> dict[str, FieldDescriptor]:
    """A message's fields by proto name and by JSON name."""
    by_json_name = {field.json_name: field for field in message.fields}
    return {**by_json_name, **{field.camelcase_name: field for field in message.fields}, **message.fields_by_name}


def read_message(message: Message, value: JsonValue, path: str = "") -> None:
    """Fills `message` from a JSON value. `path` is where it stands in the request. Raises `FieldProblem`."""
    reader = well_known.reader_of(message.DESCRIPTOR.full_name)
    if reader is not None:
        try:
            reader(message, value)
        except WrongValue as problem:
            raise FieldProblem(path, str(problem)) from None
        return
    if not isinstance(value, dict):
        raise FieldProblem(path, "must be a JSON object")
    _read_fields(message, value, path)


def read_field(message: Message, field: FieldDescriptor, value: JsonValue, path: str) -> None:
    """Sets one field of `message` from a JSON value that is not null. Raises `FieldProblem`."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _read_map(message, field, value, path)
    elif field.is_repeated:
        _read_list(message, field, value, path)
    elif field.message_type is not None:
        child = getattr(message, field.name)
        child.SetInParent()
        read_message(child, value, path)
    else:
        setattr(message, field.name, _read_scalar(field, value, path))


def join(path: str, name: str) -> str:
    """The path of a field inside another."""
    return f"{path}.{name}" if path else name


def _read_fields(message: Message, value: dict[str, JsonValue], path: str) -> None:
    known = fields_by_any_name(message.DESCRIPTOR)
    seen: set[str] = set()
    for name, item in value.items():
        field = known.get(name)
        if field is None:
            raise FieldProblem(join(path, name[:100]), "is not a known field")
        where = join(path, field.name)
        slot = _slot(field)
        if field.name in seen:
            raise FieldProblem(where, "is given twice, in two spellings")
        seen.add(field.name)
        if item is None and not _takes_null(field):
            continue
        if slot != field.name:
            if slot in seen:
                raise FieldProblem(where, f"excludes another field of {slot[6:]!r} that is given too")
            seen.add(slot)
        read_field(message, field, item, where)


def _slot(field: FieldDescriptor) -> str:
    """What can be filled once: the oneof that the field belongs to, else the field itself."""
    oneof = field.containing_oneof
    if oneof is None or (len(oneof.fields) == 1 and oneof.name == f"_{field.name}"):
        return field.name
    return f"oneof {oneof.name}"


def _takes_null(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == _VALUE and not field.is_repeated


def _read_list(message: Message, field: FieldDescriptor, value: JsonValue, path: str) -> None:
    if not isinstance(value, list):
        raise FieldProblem(path, "must be a JSON array")
    target: Any = getattr(message, field.name)
    for index, item in enumerate(value):
        where = f"{path}[{index}]"
        if field.message_type is None:
            target.append(_read_scalar(field, item, where))
        elif item is None and field.message_type.full_name != _VALUE:
            raise FieldProblem(where, "must not be null")
        else:
            read_message(target.add(), item, where)


def _read_map(message: Message, field: FieldDescriptor, value: JsonValue, path: str) -> None:
    if not isinstance(value, dict):
        raise FieldProblem(path, "must be a JSON object")
    assert field.message_type is not None
    entry = field.message_type.fields_by_name
    target: Any = getattr(message, field.name)
    for text, item in value.items():
        where = f"{path}[{text[:100]!r}]"
        key = _read_key(entry["key"], text, where)
        if key in target:
            raise FieldProblem(where, "is given twice")
        if entry["value"].message_type is None:
            target[key] = _read_scalar(entry["value"], item, where)
        else:
            target[key].SetInParent()
            read_message(target[key], item, where)


def _read_key(field: FieldDescriptor, text: str, path: str) -> scalars.Scalar:
    try:
        return scalars.from_text(field, text)
    except WrongValue as problem:
        raise FieldProblem(path, str(problem)) from None


def _read_scalar(field: FieldDescriptor, value: JsonValue, path: str) -> scalars.Scalar:
    try:
        return scalars.from_json(field, value)
    except WrongValue as problem:
        raise FieldProblem(path, str(problem)) from None
