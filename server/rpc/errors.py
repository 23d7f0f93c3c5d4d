"""Errors that callers see: one class per reason, two texts, codes from the proto.

`public` is what the caller reads; `internal` is what the log keeps. The gRPC code and HTTP status of a reason stand
in `tollbridge.errors.v1.ErrorReason` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from google.rpc import error_details_pb2, status_pb2

from tollbridge.errors.v1 import error_reason_pb2
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason

DOMAIN: Final = "tollbridge"
_PREFIX: Final = "ERROR_REASON_"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks a rule."""

    field: str
    """Path as the caller wrote it, for instance "messages[0].role"."""
    description: str
    """What is wrong with it, in words for the caller."""


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """One quota that is used up."""

    subject: str
    """Whose it is, for instance "organization"."""
    description: str


class ApiError(Exception):
    """A call that ends with a reason. Subclasses name theirs; nobody raises this class itself."""

    reason: ClassVar[ErrorReason.ValueType]

    def __init__(
        self,
        public: str,
        *,
        internal: str = "",
        metadata: Mapping[str, str] | None = None,
        fields: Sequence[FieldViolation] = (),
        quotas: Sequence[QuotaViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        """`public` goes to the caller, `internal` to the log; `retry_after` is seconds until a try makes sense."""
        super().__init__(internal or public)
        self.public = public
        self.internal = internal
        self.metadata = dict(metadata or {})
        self.fields = tuple(fields)
        self.quotas = tuple(quotas)
        self.retry_after = retry_after
        self.trailing_metadata: Sequence[tuple[str, str | bytes]] = ()
        """Told beside the status; over REST the allowed names become headers."""

    @property
    def reason_name(self) -> str:
        """The reason without its enum prefix, for instance "NOT_FOUND"."""
        return ErrorReason.Name(self.reason).removeprefix(_PREFIX)

    @property
    def grpc_code(self) -> int:
        """The gRPC status code, 1 to 16."""
        return int(rule(self.reason).grpc_code)

    def to_status(self, request_id: str) -> status_pb2.Status:
        """google.rpc.Status with ErrorInfo, RequestInfo and, where known, BadRequest, RetryInfo and QuotaFailure."""
        status = status_pb2.Status(code=self.grpc_code, message=self.public)
        info = error_details_pb2.ErrorInfo(reason=self.reason_name, domain=DOMAIN, metadata=self.metadata)
        status.details.add().Pack(info)
        if self.fields:
            status.details.add().Pack(self._bad_request())
        if self.retry_after is not None:
            status.details.add().Pack(self._retry_info(self.retry_after))
        if self.quotas:
            status.details.add().Pack(self._quota_failure())
        status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
        return status

    def _bad_request(self) -> error_details_pb2.BadRequest:
        violation = error_details_pb2.BadRequest.FieldViolation
        rows = [violation(field=row.field, description=row.description) for row in self.fields]
        return error_details_pb2.BadRequest(field_violations=rows)

    def _quota_failure(self) -> error_details_pb2.QuotaFailure:
        violation = error_details_pb2.QuotaFailure.Violation
        rows = [violation(subject=row.subject, description=row.description) for row in self.quotas]
        return error_details_pb2.QuotaFailure(violations=rows)

    @staticmethod
    def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(int(seconds * 1_000_000_000))
        return info


def rule(reason: ErrorReason.ValueType) -> error_reason_pb2.Rule:
    """The codes of a reason, as its proto option has them."""
    value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number[reason]
    found: error_reason_pb2.Rule = value.GetOptions().Extensions[error_reason_pb2.rule]
    return found


class InternalError(ApiError):
    """Something broke on our side; the caller learns only the request id."""

    reason = ErrorReason.ERROR_REASON_INTERNAL

    def __init__(self, internal: str) -> None:
        super().__init__("Something broke on our side. The request id finds it in our log.", internal=internal)


class UnavailableError(ApiError):
    """A part that the call needs is away."""

    reason = ErrorReason.ERROR_REASON_UNAVAILABLE

    def __init__(self, internal: str, retry_after: float = 1.0) -> None:
        public = "The service cannot answer at the moment. Try again shortly."
        super().__init__(public, internal=internal, retry_after=retry_after)


class DeadlineExceededError(ApiError):
    """The caller's deadline passed first."""

    reason = ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED

    def __init__(self) -> None:
        super().__init__("The deadline passed before the call was done.")


class UnimplementedError(ApiError):
    """No such method here."""

    reason = ErrorReason.ERROR_REASON_UNIMPLEMENTED

    def __init__(self, internal: str = "") -> None:
        super().__init__("This method is not served here.", internal=internal)


class ShuttingDownError(ApiError):
    """This process is draining."""

    reason = ErrorReason.ERROR_REASON_SHUTTING_DOWN

    def __init__(self) -> None:
        super().__init__("The server is restarting. Try again.", retry_after=1.0)


class OverloadedError(ApiError):
    """This process has more to do than it can."""

    reason = ErrorReason.ERROR_REASON_OVERLOADED

    def __init__(self) -> None:
        super().__init__("The server is overloaded. Try again.", retry_after=1.0)


class InvalidArgumentError(ApiError):
    """The request breaks a rule of its fields."""

    reason = ErrorReason.ERROR_REASON_INVALID_ARGUMENT

    @classmethod
    def of(cls, field: str, description: str) -> InvalidArgumentError:
        """For one field; the public text names it."""
        return cls(f"{field}: {description}", fields=[FieldViolation(field, description)])


class InvalidPageTokenError(ApiError):
    """`page_token` does not decode, or belongs to another list."""

    reason = ErrorReason.ERROR_REASON_INVALID_PAGE_TOKEN

    def __init__(self) -> None:
        text = "is not a token of this list; leave it out to start from the first page"
        super().__init__(f"page_token {text}.", fields=[FieldViolation("page_token", text)])


class NotFoundError(ApiError):
    """Nothing with this id that the caller may see."""

    reason = ErrorReason.ERROR_REASON_NOT_FOUND

    def __init__(self, noun: str) -> None:
        """`noun` as in "No such key."; never the id, so that every unknown id reads the same."""
        super().__init__(f"No such {noun}.")


class ConflictError(ApiError):
    """The resource changed since it was read."""

    reason = ErrorReason.ERROR_REASON_CONFLICT

    def __init__(self, noun: str) -> None:
        super().__init__(f"The {noun} was changed by somebody else. Read it again, then write.")


class TooLargeError(ApiError):
    """More bytes than a message may have."""

    reason = ErrorReason.ERROR_REASON_TOO_LARGE

    def __init__(self, limit_bytes: int) -> None:
        public = f"The request is larger than {limit_bytes} bytes."
        super().__init__(public, metadata={"limit_bytes": str(limit_bytes)})


class CredentialMissingError(ApiError):
    """No credential came."""

    reason = ErrorReason.ERROR_REASON_CREDENTIAL_MISSING

    def __init__(self) -> None:
        super().__init__("No API key was given. Send it as `Authorization: Bearer KEY`.")


class CredentialInvalidError(ApiError):
    """The credential opens nothing; why is only in the log."""

    reason = ErrorReason.ERROR_REASON_CREDENTIAL_INVALID

    def __init__(self, internal: str = "", credential: str = "API key or access token") -> None:
        super().__init__(f"The {credential} is not valid.", internal=internal)


class PermissionDeniedError(ApiError):
    """The caller is known but may not do this."""

    reason = ErrorReason.ERROR_REASON_PERMISSION_DENIED

    def __init__(self, internal: str = "") -> None:
        super().__init__("You are not allowed to do this.", internal=internal)


class AddressNotAllowedError(ApiError):
    """The key may not be used from where the call came from; where it may is not told."""

    reason = ErrorReason.ERROR_REASON_ADDRESS_NOT_ALLOWED

    def __init__(self, ip: str) -> None:
        super().__init__("This API key may not be used from this address.", internal=f"used from {ip or 'a socket'}")


class PasswordChangeRequiredError(ApiError):
    """The session may only change its password."""

    reason = ErrorReason.ERROR_REASON_PASSWORD_CHANGE_REQUIRED

    def __init__(self) -> None:
        super().__init__("Change your password first, then sign in with the new one.")


class TooManyAttemptsError(ApiError):
    """Too many wrong credentials from this address or for this account."""

    reason = ErrorReason.ERROR_REASON_TOO_MANY_ATTEMPTS

    def __init__(self, retry_after: float) -> None:
        super().__init__("Too many failed attempts. Wait before you try again.", retry_after=retry_after)


class OrganizationSuspendedError(ApiError):
    """The caller's organization is suspended."""

    reason = ErrorReason.ERROR_REASON_ORGANIZATION_SUSPENDED

    def __init__(self) -> None:
        super().__init__("The organization is suspended.")
