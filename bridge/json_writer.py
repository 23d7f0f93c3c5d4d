"""Turns messages into JSON as proto3 defines it, in the variants that `PrintRules` names."""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message

_MESSAGE = FieldDescriptor.CPPTYPE_MESSAGE
_FLOATS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
_LONG = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
_EXACT = 2**53
_WRAPPERS = "google/protobuf/wrappers.proto"

Write: TypeAlias = "Callable[[Any], Any]"


@dataclass(frozen=True, slots=True)
class PrintRules:
    """How messages are printed. The defaults are proto3's canonical JSON."""

    proto_names: bool = False
    """Fields by their proto name instead of their JSON name."""
    zeros: bool = False
    """Fields without presence are printed when they are zero or empty, too."""
    long_numbers: bool = False
    """64-bit integers that a double can hold are numbers instead of text."""
    enum_numbers: bool = False
    """Enums by number instead of by name."""


class UnwritableError(ValueError):
    """A message has no JSON form, for instance a time outside the years 1 to 9999. The text names type and value."""


class _Field(NamedTuple):
    """How one field of a message is printed."""

    name: str
    """The proto name, for reading it."""
    printed: str
    has_presence: bool
    write: Write


class JsonWriter:
    """Writes messages of any pool; what it learns of a type is kept for the next message."""

    def __init__(self, rules: PrintRules, pools: Sequence[DescriptorPool] = ()) -> None:
        """`pools` know the types that an Any may hold; the pool that the Any itself comes from is asked first."""
        self._rules = rules
        self._pools = tuple(pools)
        self._fields: dict[Descriptor, list[_Field]] = {}
        self._by_field: dict[FieldDescriptor, Write] = {}
        self._special: dict[str, Write] = {
            "google.protobuf.Any": self._any,
            "google.protobuf.Struct": self._struct,
            "google.protobuf.Value": self._value,
            "google.protobuf.ListValue": self._list_value,
            "google.protobuf.Timestamp": _text_form,
            "google.protobuf.Duration": _text_form,
            "google.protobuf.FieldMask": _mask,
        }

    def write(self, message: Message) -> Any:
        """The message's JSON value. Raises `UnwritableError`."""
        descriptor = cast("Descriptor", message.DESCRIPTOR)
        special = self._special_of(descriptor)
        return self._ordinary(message, descriptor) if special is None else special(message)

    def write_field(self, message: Message, field: FieldDescriptor) -> Any:
        """The JSON value of one field, also of one that is not set. Raises `UnwritableError`."""
        if field.message_type is not None and field.has_presence and not message.HasField(field.name):
            return None if self._special_of(field.message_type) else {}
        return self._writer_of(field)(getattr(message, field.name))

    def _special_of(self, descriptor: Descriptor) -> Write | None:
        if descriptor.file.name == _WRAPPERS:
            return self._wrapper
        return self._special.get(descriptor.full_name)

    def _ordinary(self, message: Any, descriptor: Descriptor) -> dict[str, Any]:
        if not self._rules.zeros:
            return {self._name_of(field): self._writer_of(field)(value) for field, value in message.ListFields()}
        shown = {
            field.printed: field.write(getattr(message, field.name))
            for field in self._fields.get(descriptor) or self._learn(descriptor)
            if not field.has_presence or message.HasField(field.name)
        }
        if descriptor.is_extendable:
            for field, value in message.ListFields():
                if field.is_extension:
                    shown[self._name_of(field)] = self._writer_of(field)(value)
        return shown

    def _learn(self, descriptor: Descriptor) -> list[_Field]:
        fields = [
            _Field(field.name, self._name_of(field), field.has_presence, self._writer_of(field))
            for field in descriptor.fields
        ]
        self._fields[descriptor] = fields
        return fields

    def _name_of(self, field: FieldDescriptor) -> str:
        if field.is_extension:
            return f"[{field.full_name}]"
        return field.name if self._rules.proto_names else field.json_name

    def _writer_of(self, field: FieldDescriptor) -> Write:
        known = self._by_field.get(field)
        if known is None:
            known = self._by_field[field] = self._make_writer(field)
        return known

    def _make_writer(self, field: FieldDescriptor) -> Write:
        inside = field.message_type
        if inside is not None and inside.GetOptions().map_entry:
            one = self._writer_of(inside.fields_by_name["value"])
            return lambda entries: {_key(key): one(entries[key]) for key in entries}
        single = self._make_single(field)
        if field.is_repeated:
            return lambda items: [single(item) for item in items]
        return single

    def _make_single(self, field: FieldDescriptor) -> Write:
        if field.cpp_type == _MESSAGE:
            return self.write
        if field.enum_type is not None:
            return self._enum_writer(field.enum_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return lambda value: b64encode(value).decode("ascii")
        if field.cpp_type in _FLOATS:
            return _float32 if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else _float64
        if field.cpp_type in _LONG:
            return _exact_number if self._rules.long_numbers else str
        return _as_it_is

    def _enum_writer(self, enum: EnumDescriptor) -> Write:
        if enum.full_name == "google.protobuf.NullValue":
            return lambda _: None
        if self._rules.enum_numbers:
            return _as_it_is
        names = {number: value.name for number, value in enum.values_by_number.items()}
        return lambda number: names.get(number, number)

    def _wrapper(self, message: Any) -> Any:
        return self._writer_of(message.DESCRIPTOR.fields_by_name["value"])(message.value)

    def _any(self, message: Any) -> dict[str, Any]:
        """A type that the pool does not know is shown as its bytes, so that an answer never fails over it."""
        if not message.type_url:
            return {}
        shown: dict[str, Any] = {"@type": message.type_url}
        packed = _unpack(message, (message.DESCRIPTOR.file.pool, *self._pools))
        if packed is None:
            shown["value"] = b64encode(message.value).decode("ascii")
        elif self._special_of(packed.DESCRIPTOR) is not None:
            shown["value"] = self.write(packed)
        else:
            shown.update(self.write(packed))
        return shown

    def _struct(self, message: Any) -> dict[str, Any]:
        fields = message.fields
        return {name: self._value(fields[name]) for name in fields}

    def _list_value(self, message: Any) -> list[Any]:
        return [self._value(value) for value in message.values]

    def _value(self, message: Any) -> Any:
        kind = message.WhichOneof("kind")
        if kind is None or kind == "null_value":
            return None
        value = getattr(message, kind)
        if kind == "struct_value":
            return self._struct(value)
        if kind == "list_value":
            return self._list_value(value)
        if kind == "number_value" and not math.isfinite(value):
            raise UnwritableError(f"google.protobuf.Value cannot hold {value} in JSON.")
        return value


def _unpack(message: Any, pools: Sequence[DescriptorPool]) -> Any:
    name = message.type_url.rpartition("/")[2]
    for pool in pools:
        try:
            return message_factory.GetMessageClass(pool.FindMessageTypeByName(name)).FromString(message.value)
        except (KeyError, DecodeError):
            continue
    return None


def _text_form(message: Any) -> str:
    try:
        return str(message.ToJsonString())
    except (ValueError, OverflowError):
        raise UnwritableError(f"{message.DESCRIPTOR.full_name} of {message.seconds} s is out of range.") from None


def _mask(message: Any) -> str:
    """Camel case, as JSON has field names; a path that cannot be turned back is shown as it is."""
    try:
        return str(message.ToJsonString())
    except ValueError:
        return ",".join(message.paths)


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _as_it_is(value: Any) -> Any:
    return value


def _exact_number(value: int) -> int | str:
    return value if -_EXACT <= value <= _EXACT or float(value) == value else str(value)


def _float64(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _float32(value: float) -> float | str:
    """The shortest text that reads back as the same 32-bit float: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return _float64(value)
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == value:
            return short
    return float(f"{value:.9g}")
