"""What operations answer: their own result, and the errors that all share."""

from __future__ import annotations

from typing import Any

from bridge.catalog import Binding, Method
from bridge.errors import rule_of
from bridge.openapi.comments import Comments
from bridge.openapi.examples import answer_example
from bridge.openapi.schemas import Schemas
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason
from tollbridge.options.v1 import options_pb2

_STATUS_TEXTS = {
    400: "The request is wrong; `error.param` names the field.",
    401: "No credential came, or it is not valid.",
    402: "The balance does not cover the call.",
    403: "The caller may not do this.",
    404: "There is no such thing, or none that the caller may see.",
    405: "The path is not served with this verb; `Allow` says with which.",
    409: "The call conflicts with what is there.",
    413: "The body is larger than 32 MB, as sent or unpacked.",
    415: "The body is not JSON, or packed in a way that is not taken.",
    422: "The Idempotency-Key was used with another request.",
    429: "Too much at once; `Retry-After` says when to try again.",
    500: "Something broke on our side.",
    501: "Not served here.",
    502: "The provider failed.",
    503: "A part that the call needs is away.",
    504: "The call took too long.",
}
REQUEST_ID = {"x-request-id": {"$ref": "#/components/headers/x-request-id"}}

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "An error, as OpenAI's clients read it.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "request_id", "details"],
            "properties": {
                "message": {"type": "string", "description": "What went wrong, for people."},
                "type": {"type": ["string", "null"], "description": "The error's family."},
                "param": {"type": ["string", "null"], "description": "The first field that is wrong."},
                "code": {"type": ["string", "null"], "description": "What went wrong, for programs."},
                "request_id": {"type": "string", "description": "Finds the request in the server's log."},
                "details": {
                    "type": "array",
                    "description": "google.rpc details: ErrorInfo, BadRequest, RetryInfo, QuotaFailure, …",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": {"@type": {"type": "string"}},
                        "additionalProperties": True,
                    },
                },
            },
        }
    },
}


def error_responses(comments: Comments) -> dict[str, Any]:
    """The shared error answers by component name, each with the reasons that have its status."""
    reasons: dict[int, list[str]] = {}
    scope = ErrorReason.DESCRIPTOR.full_name
    for value in ErrorReason.DESCRIPTOR.values[1:]:
        rule = rule_of(ErrorReason.ValueType(value.number))
        text = comments.text(f"{scope}.{value.name}")
        short = value.name.removeprefix("ERROR_REASON_")
        reasons.setdefault(rule.http_status, []).append(f"- `{rule.code}` ({short}): {text}")
    answers = {
        _component(status): _error("\n".join([text, *([""] if status in reasons else []), *reasons.get(status, [])]))
        for status, text in _STATUS_TEXTS.items()
    }
    return {"Error": _error("Any other error, in the same form."), **answers}


def _error(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "headers": REQUEST_ID,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def answers_of(method: Method, binding: Binding, schemas: Schemas, success_text: str) -> dict[str, Any]:
    """An operation's answers by status."""
    success = {"description": success_text, "headers": REQUEST_ID, "content": _content(method, binding, schemas)}
    refused = {
        str(status): {"$ref": f"#/components/responses/{_component(status)}"} for status in _statuses(method, binding)
    }
    return {str(method.http_success): success, **refused, "default": {"$ref": "#/components/responses/Error"}}


def _content(method: Method, binding: Binding, schemas: Schemas) -> dict[str, Any]:
    documents = method.documents
    if method.returns_http_body:
        content: dict[str, Any] = {}
        if documents is not None and documents.response:
            content["application/json"] = _media(schemas.named(documents.response), schemas)
        if documents is not None and documents.stream:
            content["text/event-stream"] = {"schema": _events(schemas.named(documents.stream), "`data: [DONE]`")}
        return content or {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    schema = schemas.message(method.output)
    if binding.response_field is not None:
        schema = schemas.field(binding.response_field)
    if method.server_streaming:
        return {"text/event-stream": {"schema": _events(schema, "")}}
    return {"application/json": _media(schema, schemas)}


def _media(schema: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    return {"schema": schema, "example": answer_example(schema, schemas.components())}


def _events(schema: dict[str, Any], end: str) -> dict[str, Any]:
    text = "Server-sent events; each `data:` line holds one JSON object of the form given here."
    if end:
        text += f" The stream ends with {end}."
    text += " An error after the first event is an event with `error`, and the connection ends after it."
    return {"type": "string", "description": text, "contentMediaType": "application/json", "contentSchema": schema}


def _statuses(method: Method, binding: Binding) -> list[int]:
    statuses = {400, 404, 429, 500, 503, 504}
    if method.wants_credential:
        statuses |= {401, 403}
    else:
        statuses |= {401, 409}
    if binding.body:
        statuses |= {413, 415}
    if method.idempotency == options_pb2.IDEMPOTENCY_KEYED:
        statuses |= {409, 422}
    if method.admission == options_pb2.ADMISSION_HANDLER:
        statuses |= {402, 502}
    return sorted(statuses)


def _component(status: int) -> str:
    return f"Error{status}"
