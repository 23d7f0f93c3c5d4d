"""Turns an HTTP request into a method's request, and its answer into JSON, as a binding says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from bridge.catalog import HTTP_BODY, Binding, Method
from bridge.errors import InvalidRequest
from bridge.json_guard import JsonError, read_json
from bridge.json_writer import JsonWriter
from bridge.message_reader import FieldProblem, read_field, read_message, takes_null
from bridge.parameters import read_query, set_from_text
from bridge.path_template import Variable, is_text
from bridge.read_rules import NARROW, ReadRules


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
    rules: ReadRules = NARROW,
) -> Message:
    """The request message. Path variables are set last; a field that is given in two places is refused, but for what
    the rules say about a path and a body.

    Raises `InvalidRequest`, which names the field.
    """
    message = method.request_class()
    try:
        _read_body(method, binding, message, body, content_type, rules)
        for variable, text in variables:
            set_variable(message, binding.variables[variable.field_path], text, variable.field_path, rules)
        if query and not (method.takes_http_body and binding.body == "*"):
            taken = {variable.field_path for variable, _ in variables} | ({binding.body} if binding.body else set())
            read_query(message, query, taken, rules)
    except FieldProblem as problem:
        raise InvalidRequest(str(problem), field=problem.field) from None
    except JsonError as error:
        raise InvalidRequest(str(error)) from None
    if not message.IsInitialized():
        lacking = cast("Any", message).FindInitializationErrors()
        raise InvalidRequest(f"The request lacks required fields: {', '.join(lacking)}.", field=lacking[0])
    return message


def write_json(writer: JsonWriter, binding: Binding, message: Message) -> bytes:
    """An answer, or the field of it that the binding names, as JSON. Raises `UnwritableError`."""
    if binding.response_field is None:
        return orjson.dumps(writer.write(message))
    return orjson.dumps(writer.write_field(message, binding.response_field))


def returns_raw(method: Method, binding: Binding) -> bool:
    """Whether the answer is, or holds as what the binding names, a google.api.HttpBody."""
    field = binding.response_field
    return method.returns_http_body if field is None else _is_http_body(field)


def raw_answer(binding: Binding, message: Message) -> Any:
    """The google.api.HttpBody of an answer that `returns_raw`."""
    return message if binding.response_field is None else getattr(message, binding.response_field.name)


def _is_http_body(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == HTTP_BODY and not field.is_repeated


def _read_body(
    method: Method, binding: Binding, message: Any, body: bytes, content_type: str, rules: ReadRules
) -> None:
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
        if body:
            read_message(message, read_json(body), rules=rules)
    elif body:
        value = read_json(body)
        if value is not None or takes_null(field):
            read_field(message, field, value, field.name, rules)


def set_variable(
    message: Message, fields: Sequence[FieldDescriptor], text: str, path: str, rules: ReadRules = NARROW
) -> None:
    """Sets a path variable. The body may repeat it with the same value, as a resource that is sent back does."""
    if not is_text(text, rules.canonical):
        raise FieldProblem(path, "must be text in UTF-8 without NUL characters")
    holder = message
    for field in fields[:-1]:
        holder = getattr(holder, field.name)
    if fields[-1].is_repeated:
        holder.ClearField(fields[-1].name)
        for part in text.split(","):
            set_from_text(message, fields, part, path, rules)
        return
    before = _copy(getattr(holder, fields[-1].name))
    unset = _copy(getattr(type(holder)(), fields[-1].name))
    set_from_text(message, fields, text, path, rules)
    if rules.path_wins:
        return
    if before not in (unset, getattr(holder, fields[-1].name)):
        raise FieldProblem(path, "is given twice, in the path and with another value in the body")


def _copy(value: Any) -> Any:
    if not isinstance(value, Message):
        return value
    copied = type(value)()
    copied.CopyFrom(value)
    return copied
