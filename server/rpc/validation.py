"""The rules that stand beside the fields in the protos (buf.validate)."""

from __future__ import annotations

from typing import Final

import protovalidate
from google.protobuf.message import Message

from server.rpc.errors import FieldViolation, InvalidArgumentError

_VALIDATOR: Final = protovalidate.Validator()
_MOST_SHOWN: Final = 20


def validate(message: Message) -> None:
    """Raises `InvalidArgumentError` that names each field which breaks a rule, 20 at most."""
    violations = _VALIDATOR.collect_violations(message)
    if not violations:
        return
    rows = [FieldViolation(_path(row), _description(row)) for row in violations[:_MOST_SHOWN]]
    first = rows[0]
    raise InvalidArgumentError(f"{first.field}: {first.description}", fields=rows)


def _path(violation: protovalidate.Violation) -> str:
    elements = violation.proto.field.elements if violation.proto.field else ()
    return ".".join(_element(element) for element in elements)


def _element(element: protovalidate.FieldPathElementPb) -> str:
    subscript = element.subscript
    if subscript is None:
        return element.field_name
    return f"{element.field_name}[{subscript.value}]"


def _description(violation: protovalidate.Violation) -> str:
    return violation.proto.message or "breaks a rule of this field"
