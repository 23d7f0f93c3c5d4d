"""Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code", "request_id", "details"}}`.

A refusal of the server is read by its ErrorInfo: the reason's rule in the proto gives status, type and code. A status
without a known reason falls back to its gRPC code, and then nothing of its text is shown where it says that we broke.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from bridge import problem
from bridge.caller import Refusal
from bridge.errors import BridgeError, InternalError, rule_of
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason, Rule

DOMAIN = "tollbridge"

HTTP_STATUS = {
    code_pb2.CANCELLED: 499,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.UNAVAILABLE: 503,
}
"""The HTTP status of a gRPC code, as google/rpc/code.proto says; the codes that are not here are 500."""
_UNAVAILABLE = 503
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_PUBLIC_TEXTS = {
    499: "The call was cancelled.",
    501: "This is not served here.",
    503: "The service is not available at the moment. Try again.",
    504: "The call took longer than its deadline.",
}
_DETAIL_TYPES: dict[str, type[Message]] = {
    descriptor.full_name: getattr(error_details_pb2, name)
    for name, descriptor in error_details_pb2.DESCRIPTOR.message_types_by_name.items()
    if name != "DebugInfo"
}


@dataclass(slots=True)
class ErrorAnswer:
    """An error, ready to be sent: as an answer of its own or as an event of a stream."""

    status: int
    body: bytes
    headers: MutableMapping[str, str] = field(default_factory=dict)
    problem: bytes | None = None
    """The same as RFC 9457 writes it; None where there is no such form."""


Dress = Callable[[ErrorAnswer], ErrorAnswer]
"""Gives an error another form, for routes whose clients know another."""


def of_bridge_error(error: BridgeError, request_id: str) -> ErrorAnswer:
    """The answer of something that the bridge refused itself."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    details: list[Message] = [info]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    answer = _answer(error.rule, error.message, details, request_id)
    answer.headers.update(error.headers)
    return answer


def of_refusal(refusal: Refusal, request_id: str) -> ErrorAnswer:
    """The answer of a call that the server ended with a status."""
    details = _read_details(refusal.details)
    rule = next((found for detail in details if (found := _rule_of_detail(detail)) is not None), None)
    if rule is not None:
        return _answer(rule, refusal.message, details, request_id)
    status = HTTP_STATUS.get(refusal.code, 500)
    if status == 500:
        return of_bridge_error(InternalError(), request_id)
    name: str = code_pb2.Code.Name(refusal.code)
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    rule = Rule(http_status=status, type=kind, code=name.lower())
    answer = _answer(rule, _PUBLIC_TEXTS.get(status, refusal.message), details if status < 500 else [], request_id)
    if status == _UNAVAILABLE:
        # No server behind the bridge, most often: one that restarts is back within seconds.
        answer.headers["retry-after"] = "1"
    return answer


def _answer(rule: Rule, message: str, details: list[Message], request_id: str) -> ErrorAnswer:
    # What is repeated for an Idempotency-Key is the first call's error, word for word.
    request_id = next((found.request_id for found in details if _tells_request(found)), request_id)
    body = {
        "error": {
            "message": message,
            "type": rule.type,
            "param": _first_field(details),
            "code": rule.code,
            "request_id": request_id,
            "details": [_detail_to_json(detail) for detail in details],
        }
    }
    as_problem = problem.problem(rule, message, details, request_id)
    return ErrorAnswer(rule.http_status, orjson.dumps(body), _headers(rule, details), as_problem)


def _headers(rule: Rule, details: list[Message]) -> dict[str, str]:
    headers: dict[str, str] = {}
    if rule.http_status == 401:
        headers["www-authenticate"] = "Bearer"
    if rule.never_retry:
        headers["x-should-retry"] = "false"
    for detail in details:
        if isinstance(detail, error_details_pb2.RetryInfo):
            milliseconds = detail.retry_delay.seconds * 1000 + math.ceil(detail.retry_delay.nanos / 1e6)
            headers["retry-after"] = str(math.ceil(milliseconds / 1000))
            headers["retry-after-ms"] = str(milliseconds)
    return headers


def _read_details(serialized: bytes) -> list[Message]:
    """The details that we know how to show; others are the server's own affair."""
    details: list[Message] = []
    try:
        for packed in status_pb2.Status.FromString(serialized).details:
            detail_type = _DETAIL_TYPES.get(packed.type_url.rpartition("/")[2])
            if detail_type is not None:
                details.append(detail_type.FromString(packed.value))
    except DecodeError:
        return []
    return details


def _rule_of_detail(detail: Message) -> Rule | None:
    if not isinstance(detail, error_details_pb2.ErrorInfo) or detail.domain != DOMAIN:
        return None
    known = ErrorReason.DESCRIPTOR.values_by_name
    value = known.get(detail.reason) or known.get(f"ERROR_REASON_{detail.reason}")
    return None if value is None else rule_of(ErrorReason.ValueType(value.number))


def _tells_request(detail: Message) -> TypeGuard[error_details_pb2.RequestInfo]:
    return isinstance(detail, error_details_pb2.RequestInfo) and bool(detail.request_id)


def _first_field(details: list[Message]) -> str | None:
    for detail in details:
        if isinstance(detail, error_details_pb2.BadRequest) and detail.field_violations:
            name: str = detail.field_violations[0].field
            return name
    return None


def _detail_to_json(detail: Message) -> dict[str, Any]:
    fields: dict[str, Any] = json_format.MessageToDict(detail, preserving_proto_field_name=True)
    return {"@type": f"type.googleapis.com/{detail.DESCRIPTOR.full_name}", **fields}
