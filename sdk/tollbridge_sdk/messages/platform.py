# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.platform.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.platform.v1 import (
    CheckDatabaseRequest,
    Dependency,
    Endpoint,
    GetHealthRequest,
    GetInfoRequest,
    Health,
    Info,
    PingRequest,
    PingResponse,
)

__all__ = [
    "CheckDatabaseRequest",
    "Dependency",
    "Endpoint",
    "GetHealthRequest",
    "GetInfoRequest",
    "Health",
    "Info",
    "PingRequest",
    "PingResponse",
]
