"""Errors of keys."""

from __future__ import annotations

from server.rpc.errors import ApiError
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason


class TrialsClosedError(ApiError):
    """There are no trial keys here."""

    reason = ErrorReason.ERROR_REASON_TRIALS_CLOSED

    def __init__(self) -> None:
        super().__init__("There are no trial keys here. Register, or ask an administrator for an account.")


class TrialLimitReachedError(ApiError):
    """The address had its trial keys of the day."""

    reason = ErrorReason.ERROR_REASON_TRIAL_LIMIT_REACHED

    def __init__(self, retry_after: float) -> None:
        super().__init__("No more trial keys for this address today.", retry_after=retry_after)


class KeyEndedError(ApiError):
    """A key that was revoked or has expired gets no new secret."""

    reason = ErrorReason.ERROR_REASON_KEY_ENDED

    def __init__(self) -> None:
        super().__init__("The key was revoked or has expired. Make a new one.")
