"""Turns an HTTP request into a method's request, and its answer into JSON, as a binding says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from bridge.catalog import HTTP_BODY, Binding, Method
from bridge.errors import InvalidRequest
from bridge.json_guard import JsonError, read_json
from bridge.message_reader import FieldProblem, read_field, read_message
from bridge.parameters import read_query, set_from_text
from bridge.path_template import Variable, is_text


def wants_json(method: Method, binding: Binding) -> bool:
    """Whether the binding's body must be JSON. An HttpBody method wants it where it documents a JSON shape."""
    if not binding.body:
        return False
    if method.takes_http_body:
        return method.documents is not None and bool(method.documents.request)
    return binding.body_field is None or not _is_http_body(binding.body_field)


def read_request(
    method: Method,
    binding: Binding,
    variables: Sequence[tuple[Variable, str]],
    query: str,
    body: bytes,
    content_type: str,
) -> Message:
    """The request message. Path variables are set last and win; a field that is given in two places is refused.

    Raises `InvalidRequest`, which names the field.
    """
    message = method.request_class()
    try:
        _read_body(method, binding, message, body, content_type)
        for variable, text in variables:
            _set_variable(message, binding.variables[variable.field_path], text, variable.field_path)
        if query and not (method.takes_http_body and binding.body == "*"):
            taken = {variable.field_path for variable, _ in variables} | ({binding.body} if binding.body else set())
            read_query(message, query, taken)
    except FieldProblem as problem:
        raise InvalidRequest(str(problem), field=problem.field) from None
    except JsonError as error:
        raise InvalidRequest(str(error)) from None
    return message


def write_json(binding: Binding, message: Message) -> bytes:
    """An answer as JSON: proto names, zero values, 64-bit integers as numbers, times as RFC 3339."""
    value = _to_json(message)
    return orjson.dumps(value if binding.response_field is None else value.get(binding.response_field.name))


def raw_answer(method: Method, binding: Binding, message: Message) -> Any:
    """The google.api.HttpBody that the answer is or holds, None where it is JSON."""
    if binding.response_field is not None:
        return getattr(message, binding.response_field.name) if _is_http_body(binding.response_field) else None
    return message if method.returns_http_body else None


def _to_json(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        unquote_int64_if_possible=True,
        descriptor_pool=cast("DescriptorPool", message.DESCRIPTOR.file.pool),
    )


def _is_http_body(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == HTTP_BODY and not field.is_repeated


def _read_body(method: Method, binding: Binding, message: Any, body: bytes, content_type: str) -> None:
    if not binding.body:
        return
    field = binding.body_field
    if method.takes_http_body and field is None:
        message.content_type = content_type
        message.data = body
    elif field is not None and _is_http_body(field):
        target = getattr(message, field.name)
        target.content_type = content_type
        target.data = body
    elif field is None:
        read_message(message, read_json(body) if body else {})
    elif body:
        value = read_json(body)
        if value is not None:
            read_field(message, field, value, field.name)


def _set_variable(message: Message, fields: Sequence[FieldDescriptor], text: str, path: str) -> None:
    """Sets a path variable. The body may repeat it with the same value, as a resource that is sent back does."""
    if not is_text(text):
        raise FieldProblem(path, "must be text in UTF-8 without NUL characters")
    holder = message
    for field in fields[:-1]:
        holder = getattr(holder, field.name)
    before = _copy(getattr(holder, fields[-1].name))
    unset = _copy(getattr(type(holder)(), fields[-1].name))
    set_from_text(message, fields, text, path)
    if before not in (unset, getattr(holder, fields[-1].name)):
        raise FieldProblem(path, "is given twice, in the path and with another value in the body")


def _copy(value: Any) -> Any:
    if not isinstance(value, Message):
        return value
    copied = type(value)()
    copied.CopyFrom(value)
    return copied
