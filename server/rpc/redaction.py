"""Messages as a log may show them: without the fields that the protos mark `debug_redact`."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

HIDDEN: Final = "[redacted]"


def redacted(message: Message) -> dict[str, object]:
    """The message's set fields by name; marked ones show only that they were set."""
    return {field.name: _shown(field, value) for field, value in message.ListFields()}


def _shown(field: FieldDescriptor, value: object) -> object:
    if field.GetOptions().debug_redact:
        return HIDDEN
    if isinstance(value, Message):
        return redacted(value)
    if field.is_repeated:
        rows = list(value)  # type: ignore[call-overload]
        return [redacted(row) if isinstance(row, Message) else row for row in rows]
    return value
