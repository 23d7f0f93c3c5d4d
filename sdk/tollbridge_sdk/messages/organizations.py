# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.organizations.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.organizations.v1 import (
    Address,
    GetOrganizationRequest,
    ListMembershipsRequest,
    ListMembershipsResponse,
    Membership,
    Organization,
    Role,
    UpdateOrganizationRequest,
)

__all__ = [
    "Address",
    "GetOrganizationRequest",
    "ListMembershipsRequest",
    "ListMembershipsResponse",
    "Membership",
    "Organization",
    "Role",
    "UpdateOrganizationRequest",
]
