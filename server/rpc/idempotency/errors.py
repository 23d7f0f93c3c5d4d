"""What a call is refused with because of its Idempotency-Key."""

from __future__ import annotations

from google.rpc import error_details_pb2, status_pb2

from server.foundation import money
from server.rpc.errors import ApiError, InternalError, InvalidArgumentError
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason

HEADER = "Idempotency-Key"


class InFlightError(ApiError):
    """A call with the same key still runs."""

    reason = ErrorReason.ERROR_REASON_IDEMPOTENCY_IN_FLIGHT

    def __init__(self, internal: str = "") -> None:
        public = f"A call with this {HEADER} is still running. Ask again when it has ended."
        super().__init__(public, internal=internal, metadata={"header": HEADER})


class MismatchError(ApiError):
    """The key belongs to another request."""

    reason = ErrorReason.ERROR_REASON_IDEMPOTENCY_MISMATCH

    def __init__(self) -> None:
        public = f"This {HEADER} was used with another request. Take a new one for each request."
        super().__init__(public, metadata={"header": HEADER})


class ResultTooLargeError(ApiError):
    """The call was done; its answer is not there any more."""

    reason = ErrorReason.ERROR_REASON_IDEMPOTENT_RESULT_TOO_LARGE

    def __init__(self, charged: int, limit_bytes: int) -> None:
        """`charged`: nano-dollars."""
        billed = money.to_text(charged)
        super().__init__(
            f"The call was done and billed {billed} USD. Its answer, above {limit_bytes} bytes, was not kept.",
            metadata={"header": HEADER, "billed": billed, "currency": "USD", "limit_bytes": str(limit_bytes)},
        )


class KeptError(InternalError):
    """The error that the first call ended with, word for word; the request id in it is the first call's."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(f"the first call's error: {status.message}")
        self._status = status

    @property
    def reason_name(self) -> str:
        """The first call's reason."""
        info = error_details_pb2.ErrorInfo()
        return info.reason if any(detail.Unpack(info) for detail in self._status.details) else super().reason_name

    @property
    def grpc_code(self) -> int:
        """The first call's code."""
        return int(self._status.code)

    def to_status(self, request_id: str) -> status_pb2.Status:
        """The status as it was, whichever call asks."""
        return self._status


def malformed(description: str) -> InvalidArgumentError:
    """The refusal of a header that is no key."""
    return InvalidArgumentError.of(HEADER, description)
