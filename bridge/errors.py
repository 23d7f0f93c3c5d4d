"""What the bridge itself refuses, one class a reason. Where the reason is in the contract its rule comes from there;
the others exist in HTTP alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tollbridge.errors.v1 import error_reason_pb2
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason, Rule


def rule_of(reason: ErrorReason.ValueType) -> Rule:
    """How a reason looks in HTTP, from the proto."""
    value = ErrorReason.DESCRIPTOR.values_by_number[reason]
    rule: Rule = value.GetOptions().Extensions[error_reason_pb2.rule]
    return rule


class BridgeError(Exception):
    """A request that the bridge refuses. The message is public. `field` names the part of the request, "" for none."""

    reason: ClassVar[str] = "INVALID_ARGUMENT"
    rule: ClassVar[Rule] = rule_of(ErrorReason.ERROR_REASON_INVALID_ARGUMENT)
    closes: ClassVar[bool] = False
    """Whether the connection ends with the answer, because what is left of the request is not worth reading."""

    def __init__(self, message: str, *, field: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.headers = headers or {}


class InvalidRequest(BridgeError):
    """400: the request does not parse, or a field has a wrong value."""


class BrokenFraming(BridgeError):
    """400: the request can be read in two ways, so it is not read at all."""

    closes = True


class RouteNotFound(BridgeError):
    """404: nothing is served at this path."""

    reason = "ROUTE_NOT_FOUND"
    rule = Rule(http_status=404, type="invalid_request_error", code="route_not_found")

    def __init__(self) -> None:
        super().__init__("Nothing is served at this path. GET /openapi.json lists what is.")


class MethodNotAllowed(BridgeError):
    """405: the path is served, with other verbs."""

    reason = "METHOD_NOT_ALLOWED"
    rule = Rule(http_status=405, type="invalid_request_error", code="method_not_allowed")

    def __init__(self, http_verb: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"This path is not served with {http_verb[:20]}; it takes {', '.join(allowed)}.",
            headers={"allow": ", ".join(allowed)},
        )


class BodyTimeout(BridgeError):
    """408: the body stopped coming."""

    reason = "BODY_TIMEOUT"
    rule = Rule(http_status=408, type="invalid_request_error", code="body_timeout")
    closes = True

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The request's body stopped coming for {seconds:g} seconds.")


class TooLarge(BridgeError):
    """413: more bytes than a body may have."""

    reason = "TOO_LARGE"
    rule = rule_of(ErrorReason.ERROR_REASON_TOO_LARGE)
    closes = True

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request's body is larger than {limit_bytes} bytes, as sent or unpacked.")


class UnsupportedMediaType(BridgeError):
    """415: a content type or encoding that is not taken here."""

    reason = "UNSUPPORTED_MEDIA_TYPE"
    rule = Rule(http_status=415, type="invalid_request_error", code="unsupported_media_type")


class HeadersTooLarge(BridgeError):
    """431: more bytes of headers than are taken."""

    reason = "HEADERS_TOO_LARGE"
    rule = Rule(http_status=431, type="invalid_request_error", code="headers_too_large")
    closes = True

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request's headers are larger than {limit_bytes} bytes.")


class CredentialMissing(BridgeError):
    """401: the method wants a credential and none came."""

    reason = "CREDENTIAL_MISSING"
    rule = rule_of(ErrorReason.ERROR_REASON_CREDENTIAL_MISSING)

    def __init__(self) -> None:
        super().__init__("Send an API key or access token as 'Authorization: Bearer …' (or an API key as 'x-api-key').")


class CredentialInvalid(BridgeError):
    """401: what came cannot be a credential."""

    reason = "CREDENTIAL_INVALID"
    rule = rule_of(ErrorReason.ERROR_REASON_CREDENTIAL_INVALID)

    def __init__(self) -> None:
        super().__init__("The API key or access token is not valid.")


class ClientStreamNotServed(BridgeError):
    """501: the method takes a stream of requests, which one HTTP request cannot be."""

    reason = "CLIENT_STREAM_NOT_SERVED"
    rule = Rule(http_status=501, type="server_error", code="client_stream_not_served")

    def __init__(self) -> None:
        super().__init__("This method takes a stream of requests; it is served over gRPC only.")


class ShuttingDown(BridgeError):
    """503: the bridge ends, and what was not finished in time is cut; another try reaches a new one."""

    reason = "SHUTTING_DOWN"
    rule = rule_of(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
    closes = True

    def __init__(self) -> None:
        super().__init__("The server restarts. Try again.")


class Overloaded(BridgeError):
    """503: this process has more to do than it can, and did not look at the request."""

    reason = "OVERLOADED"
    rule = rule_of(ErrorReason.ERROR_REASON_OVERLOADED)

    def __init__(self) -> None:
        super().__init__("The server is overloaded. Try again.", headers={"retry-after": "1", "retry-after-ms": "1000"})


class InternalError(BridgeError):
    """500: something broke on our side; the request id finds it in the log."""

    reason = "INTERNAL"
    rule = rule_of(ErrorReason.ERROR_REASON_INTERNAL)
    closes = True

    def __init__(self) -> None:
        super().__init__("Something broke on our side. The request id finds it in our log.")
