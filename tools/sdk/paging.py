"""Which methods are lists that can be read page after page, by their fields alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from buf.validate import validate_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, MethodDescriptorProto

Messages = Mapping[str, DescriptorProto]
"""Every message by its full name with a leading dot, as descriptors refer to it."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The rows of a list's answer."""

    field: str
    """The answer's repeated field, for instance "keys"."""
    row: str
    """The rows' message, ".tollbridge.keys.v1.Key"."""


def pages_of(method: MethodDescriptorProto, messages: Messages) -> Pages | None:
    """How a method is paged; None where it is not.

    It is where the request has `page_token`, the answer `next_page_token`, and just one field of the answer repeats.
    """
    request, answer = messages[method.input_type], messages[method.output_type]
    if not _has(request, "page_token") or not _has(answer, "next_page_token"):
        return None
    rows = [field for field in answer.field if field.label == FieldDescriptorProto.LABEL_REPEATED and field.type_name]
    return Pages(rows[0].name, rows[0].type_name) if len(rows) == 1 else None


def may_be_left_out(request: DescriptorProto) -> bool:
    """Whether an empty request is a valid one, so that callers need not write it."""
    return not any(_demands(field) for field in request.field) and (not request.field or _has(request, "page_token"))


def _has(message: DescriptorProto, name: str) -> bool:
    return any(field.name == name for field in message.field)


def _demands(field: FieldDescriptorProto) -> bool:
    rules = field.options.Extensions[validate_pb2.field]
    return bool(rules.required or rules.string.min_len or rules.repeated.min_items)
