# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.limits.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.limits.v1 import (
    GetLimitsRequest,
    GetLimitsResponse,
    LimitRule,
    SetLimitsRequest,
)

__all__ = [
    "GetLimitsRequest",
    "GetLimitsResponse",
    "LimitRule",
    "SetLimitsRequest",
]
