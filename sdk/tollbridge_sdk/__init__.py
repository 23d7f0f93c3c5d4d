"""Tollbridge's client: typed calls over gRPC, with deadlines, repeats, sign-in, errors and streams that end cleanly.

`AsyncClient` is for asyncio and takes the messages of `tollbridge_sdk.messages`; `Client` is for everything else and
takes protobuf's own, `tollbridge.….v1.…_pb2`.
"""

from tollbridge_sdk.async_calls import StreamCall, UnaryCall
from tollbridge_sdk.async_client import AsyncClient
from tollbridge_sdk.calls import Details, Stream
from tollbridge_sdk.client import Client
from tollbridge_sdk.errors import (
    AlreadyExistsError,
    CallCancelledError,
    ConflictError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    InsufficientFundsError,
    InternalError,
    InvalidArgumentError,
    LimitedError,
    ModelNotFoundError,
    NotFoundError,
    PasswordChangeRequiredError,
    PermissionDeniedError,
    QuotaViolation,
    TollbridgeError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from tollbridge_sdk.messages.errors import ErrorReason
from tollbridge_sdk.retries import Retries
from tollbridge_sdk.sessions import Session
from tollbridge_sdk.version import VERSION

__all__ = [
    "AlreadyExistsError",
    "AsyncClient",
    "CallCancelledError",
    "Client",
    "ConflictError",
    "DeadlineExceededError",
    "Details",
    "ErrorReason",
    "FailedPreconditionError",
    "FieldViolation",
    "InsufficientFundsError",
    "InternalError",
    "InvalidArgumentError",
    "LimitedError",
    "ModelNotFoundError",
    "NotFoundError",
    "PasswordChangeRequiredError",
    "PermissionDeniedError",
    "QuotaViolation",
    "Retries",
    "Session",
    "Stream",
    "StreamCall",
    "TollbridgeError",
    "UnaryCall",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "__version__",
]

__version__ = VERSION
