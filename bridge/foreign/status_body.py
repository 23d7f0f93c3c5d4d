"""Errors as google.rpc.Status in JSON: `{"code": 5, "message": "…", "details": [{"@type": "…", …}]}`.

`code` is the gRPC code; the HTTP status follows it as google/rpc/code.proto says. Details whose type is known (from the
descriptors, or google.rpc's own) are printed, others are shown as their bytes in base64.
"""

from __future__ import annotations

from typing import Any

import orjson
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, status_pb2

from bridge.caller import Refusal
from bridge.error_body import HTTP_STATUS, ErrorAnswer
from bridge.errors import BridgeError, RouteNotFound
from bridge.json_writer import JsonWriter, UnwritableError

_CODE_OF_STATUS = {
    401: code_pb2.UNAUTHENTICATED,
    404: code_pb2.NOT_FOUND,
    405: code_pb2.UNIMPLEMENTED,
    408: code_pb2.DEADLINE_EXCEEDED,
    413: code_pb2.RESOURCE_EXHAUSTED,
    500: code_pb2.INTERNAL,
    501: code_pb2.UNIMPLEMENTED,
    503: code_pb2.UNAVAILABLE,
}
_NO_ROUTE = "Nothing is served at this path."
"""The platform's own text points to its documentation."""


class StatusBodies:
    """Makes the answers; `writer` knows the types of details."""

    def __init__(self, writer: JsonWriter) -> None:
        self._writer = writer

    def of_bridge_error(self, error: BridgeError, _: str) -> ErrorAnswer:
        """The answer of something that the bridge refused itself. Its HTTP status says more than a gRPC code can."""
        status = error.rule.http_status
        code = _CODE_OF_STATUS.get(status, code_pb2.INVALID_ARGUMENT)
        details = []
        if error.field:
            violation = {"field": error.field, "description": error.message}
            details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
        headers = dict(error.headers)
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        message = _NO_ROUTE if isinstance(error, RouteNotFound) else error.message
        return _answer(status, code, message, details, headers)

    def of_refusal(self, refusal: Refusal, _: str) -> ErrorAnswer:
        """The answer of a call that the server ended with a status, word for word."""
        headers = {"www-authenticate": "Bearer"} if refusal.code == code_pb2.UNAUTHENTICATED else {}
        status = HTTP_STATUS.get(refusal.code, 500)
        return _answer(status, refusal.code, refusal.message, self._details(refusal.details), headers)

    def _details(self, serialized: bytes) -> list[Any]:
        try:
            packed = status_pb2.Status.FromString(serialized).details
        except DecodeError:
            return []
        return [self._detail(each) for each in packed]

    def _detail(self, packed: Any) -> Any:
        try:
            return self._writer.write(packed)
        except UnwritableError:
            return {"@type": packed.type_url}


def _answer(status: int, code: int, message: str, details: list[Any], headers: dict[str, str]) -> ErrorAnswer:
    body = orjson.dumps({"code": code, "message": message, "details": details})
    return ErrorAnswer(status, body, headers)
