# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.models.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.models.v1 import (
    CreateProfileRequest,
    DeleteProfileRequest,
    DeleteProfileResponse,
    GetModelRequest,
    GetProfileRequest,
    ListModelsRequest,
    ListModelsResponse,
    ListProfilesRequest,
    ListProfilesResponse,
    Model,
    ModelPrice,
    Profile,
    UpdateProfileRequest,
)

__all__ = [
    "CreateProfileRequest",
    "DeleteProfileRequest",
    "DeleteProfileResponse",
    "GetModelRequest",
    "GetProfileRequest",
    "ListModelsRequest",
    "ListModelsResponse",
    "ListProfilesRequest",
    "ListProfilesResponse",
    "Model",
    "ModelPrice",
    "Profile",
    "UpdateProfileRequest",
]
