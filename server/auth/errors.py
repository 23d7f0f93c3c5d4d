"""Errors of accounts and sign-in."""

from __future__ import annotations

from server.rpc.errors import ApiError, FieldViolation
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason


class LoginInvalidError(ApiError):
    """Account and password do not belong together; whether the account exists is not told."""

    reason = ErrorReason.ERROR_REASON_LOGIN_INVALID

    def __init__(self, internal: str = "") -> None:
        super().__init__("E-mail (or user name) and password do not belong together.", internal=internal)


class AccountExistsError(ApiError):
    """The e-mail or user name is taken; which of them is not told."""

    reason = ErrorReason.ERROR_REASON_ACCOUNT_EXISTS

    def __init__(self) -> None:
        super().__init__("An account with this e-mail or user name exists already.")


class PasswordRefusedError(ApiError):
    """A password that others would guess."""

    reason = ErrorReason.ERROR_REASON_PASSWORD_REFUSED

    def __init__(self, field: str, description: str) -> None:
        """`description` is the end of a sentence that begins with the field's name."""
        super().__init__(f"{field} {description}.", fields=[FieldViolation(field, description)])


class RegistrationClosedError(ApiError):
    """Accounts are made by an administrator here."""

    reason = ErrorReason.ERROR_REASON_REGISTRATION_CLOSED

    def __init__(self) -> None:
        super().__init__("Registration is closed here. Ask an administrator for an account.")
