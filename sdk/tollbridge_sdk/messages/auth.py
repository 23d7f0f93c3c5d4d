# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.auth.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.auth.v1 import (
    ChangePasswordRequest,
    ChangePasswordResponse,
    GetMeRequest,
    GetMeResponse,
    LoginRequest,
    LogoutRequest,
    LogoutResponse,
    RefreshRequest,
    RegisterRequest,
    SessionTokens,
    User,
)

__all__ = [
    "ChangePasswordRequest",
    "ChangePasswordResponse",
    "GetMeRequest",
    "GetMeResponse",
    "LoginRequest",
    "LogoutRequest",
    "LogoutResponse",
    "RefreshRequest",
    "RegisterRequest",
    "SessionTokens",
    "User",
]
