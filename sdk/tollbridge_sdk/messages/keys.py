# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.keys.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.keys.v1 import (
    CreateKeyRequest,
    CreateKeyResponse,
    GetKeyRequest,
    Key,
    ListKeysRequest,
    ListKeysResponse,
    RegenerateKeyRequest,
    RegenerateKeyResponse,
    RevokeKeyRequest,
    RevokeSecretRequest,
    RotateKeyRequest,
    RotateKeyResponse,
    UpdateKeyRequest,
    VerifyKeyRequest,
    VerifyKeyResponse,
)

__all__ = [
    "CreateKeyRequest",
    "CreateKeyResponse",
    "GetKeyRequest",
    "Key",
    "ListKeysRequest",
    "ListKeysResponse",
    "RegenerateKeyRequest",
    "RegenerateKeyResponse",
    "RevokeKeyRequest",
    "RevokeSecretRequest",
    "RotateKeyRequest",
    "RotateKeyResponse",
    "UpdateKeyRequest",
    "VerifyKeyRequest",
    "VerifyKeyResponse",
]
