"""Fills messages from JSON values, naming the field in every refusal.

A field may be spelled as in the proto or in camelCase, but stand there once; unknown fields are refused unless the
rules pass over them. `null` leaves a field unset.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from bridge import scalars, well_known
from bridge.json_guard import JsonValue
from bridge.read_rules import NARROW, ReadRules
from bridge.scalars import WrongValue

_ANY = "google.protobuf.Any"
_EMPTY = "google.protobuf.Empty"
_VALUE = "google.protobuf.Value"
_NULL = "google.protobuf.NullValue"


class FieldProblem(ValueError):
    """A value that cannot be read. `field` is its path in the request, "" for all of it; the text may be shown."""

    def __init__(self, field: str, description: str, whole: str = "The body") -> None:
        """`whole` is what the description is about where no field is named."""
        super().__init__(f"{field or whole} {description}.")
        self.field = field
        self.description = description


@cache
def fields_by_any_name(message: Descriptor) -> dict[str, FieldDescriptor]:
    """A message's fields by proto name and by JSON name."""
    camel_case = {field.camelcase_name: field for field in message.fields}
    return {**camel_case, **message.fields_by_name, **{field.json_name: field for field in message.fields}}


def read_message(message: Message, value: JsonValue, path: str = "", rules: ReadRules = NARROW) -> None:
    """Fills `message` from a JSON value. `path` is where it stands in the request. Raises `FieldProblem`."""
    reader = well_known.reader_of(message.DESCRIPTOR.full_name)
    if reader is not None:
        try:
            reader(message, value, rules)
        except WrongValue as problem:
            raise FieldProblem(path, str(problem)) from None
        return
    if not isinstance(value, dict):
        raise FieldProblem(path, "must be a JSON object")
    if message.DESCRIPTOR.full_name == _ANY:
        _read_any(message, value, path, rules)
    else:
        _read_fields(message, value, path, rules)


def read_field(
    message: Message, field: FieldDescriptor, value: JsonValue, path: str, rules: ReadRules = NARROW
) -> None:
    """Sets one field of `message` from a JSON value that is not null. Raises `FieldProblem`."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _read_map(message, field, value, path, rules)
    elif field.is_repeated:
        _read_list(message, field, value, path, rules)
    elif field.message_type is not None:
        child = _held(message, field)
        child.SetInParent()
        read_message(child, value, path, rules)
    else:
        _set(message, field, _read_scalar(field, value, path, rules))


def join(path: str, name: str) -> str:
    """The path of a field inside another."""
    return f"{path}.{name}" if path else name


def _read_fields(message: Message, value: dict[str, JsonValue], path: str, rules: ReadRules) -> None:
    known = fields_by_any_name(message.DESCRIPTOR)
    seen: set[str] = set()
    for name, item in value.items():
        field = known.get(name) or _extension(cast("Descriptor", message.DESCRIPTOR), name)
        if field is None:
            if rules.ignore_unknown:
                continue
            raise FieldProblem(join(path, name[:100]), "is not a known field")
        own_name = name if field.is_extension else field.name
        where = join(path, own_name)
        slot = own_name if field.is_extension else slot_of(field)
        if own_name in seen:
            raise FieldProblem(where, "is given twice, in two spellings")
        seen.add(own_name)
        if item is None and not takes_null(field):
            continue
        if slot != own_name:
            if slot in seen:
                raise FieldProblem(where, f"excludes another field of {slot[6:]!r} that is given too")
            seen.add(slot)
        read_field(message, field, item, where, rules)


def _read_any(message: Any, value: dict[str, JsonValue], path: str, rules: ReadRules) -> None:
    """`{"@type": url, ...fields}`, or `{"@type": url, "value": ...}` for a type whose JSON is no object of fields."""
    if not value:
        return
    where = join(path, "@type")
    type_url = value.get("@type")
    if not isinstance(type_url, str) or "/" not in type_url:
        raise FieldProblem(where, "must name a type, such as type.googleapis.com/package.Message")
    pool = cast("DescriptorPool", message.DESCRIPTOR.file.pool)
    try:
        descriptor = pool.FindMessageTypeByName(type_url.rpartition("/")[2])
    except KeyError:
        raise FieldProblem(where, "names a type that is not known here") from None
    packed: Any = message_factory.GetMessageClass(descriptor)()
    rest = {name: item for name, item in value.items() if name != "@type"}
    if well_known.reader_of(descriptor.full_name) is not None or descriptor.full_name == _ANY:
        read_message(packed, rest.get("value"), join(path, "value"), rules)
    elif descriptor.full_name == _EMPTY and rest == {"value": {}}:
        pass
    else:
        read_message(packed, rest, path, rules)
    if not packed.IsInitialized():
        raise FieldProblem(path, f"lacks required fields: {', '.join(packed.FindInitializationErrors())}")
    message.type_url = type_url
    message.value = packed.SerializeToString(deterministic=True)


def _held(message: Any, field: FieldDescriptor) -> Any:
    return message.Extensions[field] if field.is_extension else getattr(message, field.name)


def _set(message: Any, field: FieldDescriptor, value: scalars.Scalar) -> None:
    if field.is_extension:
        message.Extensions[field] = value
    else:
        setattr(message, field.name, value)


def _extension(message: Descriptor, name: str) -> FieldDescriptor | None:
    """The extension that JSON writes as `[package.name]`."""
    if not (message.is_extendable and name.startswith("[") and name.endswith("]")):
        return None
    try:
        found = message.file.pool.FindExtensionByName(name[1:-1])
    except KeyError:
        return None
    extended = found.containing_type
    return found if extended is not None and extended.full_name == message.full_name else None


def slot_of(field: FieldDescriptor) -> str:
    """What can be filled once: the oneof that the field belongs to, else the field itself."""
    oneof = field.containing_oneof
    if oneof is None or (len(oneof.fields) == 1 and oneof.name == f"_{field.name}"):
        return field.name
    return f"oneof {oneof.name}"


def takes_null(field: FieldDescriptor) -> bool:
    """Whether JSON's null is a value of the field, instead of leaving it unset."""
    if field.is_repeated:
        return False
    if field.message_type is not None:
        return field.message_type.full_name == _VALUE
    return field.enum_type is not None and field.enum_type.full_name == _NULL


def _read_list(message: Message, field: FieldDescriptor, value: JsonValue, path: str, rules: ReadRules) -> None:
    if not isinstance(value, list):
        raise FieldProblem(path, "must be a JSON array")
    target = _held(message, field)
    for index, item in enumerate(value):
        where = f"{path}[{index}]"
        if field.message_type is None:
            target.append(_read_scalar(field, item, where, rules))
        elif item is None and field.message_type.full_name != _VALUE:
            raise FieldProblem(where, "must not be null")
        else:
            read_message(target.add(), item, where, rules)


def _read_map(message: Message, field: FieldDescriptor, value: JsonValue, path: str, rules: ReadRules) -> None:
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
            target[key] = _read_scalar(entry["value"], item, where, rules)
        else:
            target[key].SetInParent()
            read_message(target[key], item, where, rules)


def _read_key(field: FieldDescriptor, text: str, path: str) -> scalars.Scalar:
    try:
        return scalars.from_text(field, text)
    except WrongValue as problem:
        raise FieldProblem(path, str(problem)) from None


def _read_scalar(field: FieldDescriptor, value: JsonValue, path: str, rules: ReadRules) -> scalars.Scalar:
    try:
        return scalars.from_json(field, value, rules)
    except WrongValue as problem:
        raise FieldProblem(path, str(problem)) from None
