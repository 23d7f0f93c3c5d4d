# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.errors.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.errors.v1 import (
    ErrorReason,
)

__all__ = [
    "ErrorReason",
]
