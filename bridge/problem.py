"""Errors as RFC 9457 writes them, for whoever asks for `application/problem+json`.

The members beyond the standard's are `code` (what programs compare), `request_id`, `errors` (one entry for each field
that breaks a rule) and `retry_after` (seconds). The type is `about:blank`, so `title` is the status's own phrase.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from tollbridge.errors.v1.error_reason_pb2 import Rule

CONTENT_TYPE = "application/problem+json"
_JSON = "application/json"
_CLIENT_CLOSED = 499


def problem(rule: Rule, message: str, details: Sequence[Message], request_id: str) -> bytes:
    """The body."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(rule.http_status),
        "status": rule.http_status,
        "detail": message,
        "instance": f"/requests/{request_id}",
        "code": rule.code,
        "request_id": request_id,
    }
    fields = [row for detail in details for row in _fields(detail)]
    if fields:
        body["errors"] = fields
    for detail in details:
        if isinstance(detail, error_details_pb2.RetryInfo):
            body["retry_after"] = detail.retry_delay.ToNanoseconds() / 1e9
        elif isinstance(detail, error_details_pb2.ErrorInfo) and detail.metadata:
            body["metadata"] = dict(detail.metadata)
    return orjson.dumps(body)


def is_wanted(accept: Sequence[str]) -> bool:
    """Whether the Accept headers name the problem form, and like it as well as plain JSON (RFC 9110, 12.5.1).

    Only a header that names it asks for it: `*/*` and `application/*` are what clients send that know nothing of it.
    """
    if not accept:
        return False
    qualities = dict(_ranges(",".join(accept)))
    quality = qualities.get(CONTENT_TYPE, 0.0)
    plain = next((qualities[name] for name in (_JSON, "application/*", "*/*") if name in qualities), 0.0)
    return quality > 0 and quality >= plain


def _title(status: int) -> str:
    return "Client Closed Request" if status == _CLIENT_CLOSED else HTTPStatus(status).phrase


def _fields(detail: Message) -> Iterator[dict[str, str]]:
    if isinstance(detail, error_details_pb2.BadRequest):
        for row in detail.field_violations:
            yield {"field": row.field, "detail": row.description}


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    for entry in header.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weights = [text[2:] for text in parameters if text.startswith("q=")]
        yield name, _quality(weights[0]) if weights else 1.0


def _quality(text: str) -> float:
    """A weight between 0 and 1; what is none counts as 0, so that a broken header asks for nothing."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
