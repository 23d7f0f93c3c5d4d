"""How calls fail: one class for each gRPC code, a few for reasons that programs act on, all with the reason itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

import grpc

from tollbridge_sdk.messages.errors import ErrorReason
from tollbridge_sdk.options import Metadata


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that breaks a rule."""

    field: str
    """Its path, for instance "messages[0].role"."""
    description: str


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """One quota that is used up."""

    subject: str
    description: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Everything that an answer said about its failure."""

    code: grpc.StatusCode
    message: str
    """In words for people; it may change."""
    reason_name: str = ""
    """As the server sent it, for instance "NOT_FOUND"; empty where the failure is not the server's own."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[FieldViolation, ...] = ()
    quotas: tuple[QuotaViolation, ...] = ()
    retry_after: float | None = None
    request_id: str = ""
    trailing_metadata: Metadata = ()


class TollbridgeError(Exception):
    """A call that failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(_text(failure))
        self.failure = failure

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status code."""
        return self.failure.code

    @property
    def message(self) -> str:
        """What the server said."""
        return self.failure.message

    @property
    def reason(self) -> ErrorReason:
        """Why, as a value to compare with; UNSPECIFIED where the server gave none that this SDK knows."""
        return ErrorReason.__members__.get(self.failure.reason_name, ErrorReason.UNSPECIFIED)

    @property
    def reason_name(self) -> str:
        """The reason as it was sent, also one that is newer than this SDK."""
        return self.failure.reason_name

    @property
    def metadata(self) -> Mapping[str, str]:
        """Facts of the reason; `ErrorReason` says which."""
        return self.failure.metadata

    @property
    def fields(self) -> tuple[FieldViolation, ...]:
        """The request's fields that broke a rule."""
        return self.failure.fields

    @property
    def retry_after(self) -> float | None:
        """Seconds until another try makes sense; None where the server did not say."""
        return self.failure.retry_after

    @property
    def request_id(self) -> str:
        """By which the server's operator finds the call; empty where the server was not reached."""
        return self.failure.request_id


class InvalidArgumentError(TollbridgeError):
    """The request breaks a rule; `fields` names where."""


class UnauthenticatedError(TollbridgeError):
    """No credential, or one that opens nothing."""


class PermissionDeniedError(TollbridgeError):
    """The caller may not do this."""


class NotFoundError(TollbridgeError):
    """Nothing with this name that the caller may see."""


class AlreadyExistsError(TollbridgeError):
    """The name is taken, or a key was used for something else before."""


class ConflictError(TollbridgeError):
    """The resource changed since it was read: read it again, then write."""


class FailedPreconditionError(TollbridgeError):
    """Something else must be done first."""


class LimitedError(TollbridgeError):
    """Too much at once; `retry_after` says when to try again."""


class UnavailableError(TollbridgeError):
    """The server, or the provider behind it, cannot be reached now."""


class DeadlineExceededError(TollbridgeError):
    """The call took longer than it may."""


class UnimplementedError(TollbridgeError):
    """The server does not know the method: it is older than this SDK."""


class InternalError(TollbridgeError):
    """Something broke; `request_id` finds it in the server's log."""


class CallCancelledError(TollbridgeError):
    """The call was ended before its answer, by `cancel` or by closing the client."""


class InsufficientFundsError(FailedPreconditionError):
    """The organization's funds do not cover the call's worst case."""

    @property
    def required(self) -> Decimal | None:
        """What the call could cost at most, in `currency`."""
        return _amount(self.metadata.get("required"))

    @property
    def available(self) -> Decimal | None:
        """What there is, in `currency`."""
        return _amount(self.metadata.get("available"))

    @property
    def currency(self) -> str:
        """For instance "USD"."""
        return self.metadata.get("currency", "")


class PasswordChangeRequiredError(FailedPreconditionError):
    """The one-time password must be replaced first: `auth.change_password`."""


class ModelNotFoundError(NotFoundError):
    """No such model, or none that the credential may use."""

    @property
    def model(self) -> str:
        """The name that was asked for."""
        return self.metadata.get("model", "")


BY_CODE: Final[Mapping[grpc.StatusCode, type[TollbridgeError]]] = {
    grpc.StatusCode.CANCELLED: CallCancelledError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
    grpc.StatusCode.INTERNAL: InternalError,
    grpc.StatusCode.UNKNOWN: InternalError,
    grpc.StatusCode.DATA_LOSS: InternalError,
}
"""The family of each code."""

BY_REASON: Final[Mapping[str, type[TollbridgeError]]] = {
    "BALANCE_INSUFFICIENT": InsufficientFundsError,
    "MODEL_NOT_FOUND": ModelNotFoundError,
    "PASSWORD_CHANGE_REQUIRED": PasswordChangeRequiredError,
}
"""Reasons with a class of their own, below the family of their code."""


def error_of(failure: Failure) -> TollbridgeError:
    """The error to raise."""
    family = BY_CODE.get(failure.code, TollbridgeError)
    return BY_REASON.get(failure.reason_name, family)(failure)


def _text(failure: Failure) -> str:
    said = failure.message or failure.code.name
    where = "".join(f"; {row.field}: {row.description}" for row in failure.fields if row.field not in said)
    reason = f" [{failure.reason_name or failure.code.name}]"
    return said + where + reason + (f" (request {failure.request_id})" if failure.request_id else "")


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None
