"""Errors of keys."""

from __future__ import annotations

from server.rpc.errors import ApiError
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason


class KeyEndedError(ApiError):
    """A key that was revoked or has expired gets no new secret."""

    reason = ErrorReason.ERROR_REASON_KEY_ENDED

    def __init__(self) -> None:
        super().__init__("The key was revoked or has expired. Make a new one.")
