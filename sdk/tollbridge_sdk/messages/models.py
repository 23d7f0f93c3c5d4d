# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.models.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.models.v1 import (
    GetModelRequest,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    ModelPrice,
)

__all__ = [
    "GetModelRequest",
    "ListModelsRequest",
    "ListModelsResponse",
    "Model",
    "ModelPrice",
]
