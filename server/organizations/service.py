"""The gRPC edge of organizations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from google.protobuf.field_mask_pb2 import FieldMask

from server.foundation import ids
from server.organizations.directory import OrganizationDirectory
from server.organizations.memberships import Membership, Role
from server.organizations.organizations import CHANGEABLE, Organization
from server.rpc.context import CallContext
from server.rpc.errors import InvalidArgumentError, NotFoundError
from server.rpc.pagination import Paginator
from tollbridge.organizations.v1 import organization_pb2 as messages
from tollbridge.organizations.v1 import organization_service_pb2 as requests

_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("name",),
    "description": ("description",),
    "website": ("website",),
    "phone": ("phone",),
    "address": ("city", "country"),
    "address.city": ("city",),
    "address.country": ("country",),
    "time_zone": ("time_zone",),
}
_ROLES: Final = {
    Role.OWNER: messages.ROLE_OWNER,
    Role.ADMIN: messages.ROLE_ADMIN,
    Role.MEMBER: messages.ROLE_MEMBER,
}


class OrganizationService:
    """The caller's own organization and who is in it."""

    NAME = "tollbridge.organizations.v1.OrganizationService"

    def __init__(self, directory: OrganizationDirectory, paginator: Paginator) -> None:
        self._directory = directory
        self._paginator = paginator

    async def get_organization(
        self, request: requests.GetOrganizationRequest, context: CallContext
    ) -> messages.Organization:
        """Reads the caller's organization."""
        return to_proto(await self._directory.get(own_id(request.id, context)))

    async def update_organization(
        self, request: requests.UpdateOrganizationRequest, context: CallContext
    ) -> messages.Organization:
        """Changes the caller's organization."""
        own_id(request.organization.id, context)
        values = changes(request.organization, request.update_mask)
        return to_proto(await self._directory.update(context, values, request.organization.etag))

    async def list_memberships(
        self, request: requests.ListMembershipsRequest, context: CallContext
    ) -> requests.ListMembershipsResponse:
        """Lists who is in the caller's organization."""
        org_id = own_id(request.organization_id, context)
        page = self._paginator.open(context, request.page_size, request.page_token)
        rows = await self._directory.list_memberships(org_id, page.after_id, page.size + 1)
        shown = rows[: page.size]
        more = len(rows) > page.size
        token = self._paginator.next_token(context, page, [str(shown[-1].id)]) if more else ""
        memberships = [membership_to_proto(row) for row in shown]
        return requests.ListMembershipsResponse(memberships=memberships, next_page_token=token)


def own_id(text: str, context: CallContext) -> UUID:
    """The caller's organization, where `text` is its id. Raises `NotFoundError` for every other text."""
    org_id = ids.from_text(ids.ORGANIZATION, text)
    if org_id != context.principal.org_id:
        raise NotFoundError("organization")
    return context.principal.org_id


def changes(wanted: messages.Organization, mask: FieldMask) -> dict[str, str]:
    """New values by name: those that the mask names, or without one those that are not empty.

    Raises `InvalidArgumentError` for a path that cannot be changed, naming it.
    """
    values = {name: getattr(wanted.address if name in ("city", "country") else wanted, name) for name in CHANGEABLE}
    if not mask.paths:
        return {name: value for name, value in values.items() if value}
    unknown = [path for path in mask.paths if path not in _PATHS]
    if unknown:
        raise InvalidArgumentError.of("update_mask", f"{unknown[0]} cannot be changed here")
    return {name: values[name] for path in mask.paths for name in _PATHS[path]}


def to_proto(organization: Organization) -> messages.Organization:
    """The organization as its people see it."""
    message = messages.Organization(
        id=ids.to_text(ids.ORGANIZATION, organization.id),
        name=organization.name,
        description=organization.description,
        website=organization.website,
        phone=organization.phone,
        address=messages.Address(city=organization.city, country=organization.country),
        time_zone=organization.time_zone,
        suspended=organization.suspended,
        etag=organization.etag,
    )
    message.create_time.FromDatetime(organization.create_time)
    message.update_time.FromDatetime(organization.update_time)
    return message


def membership_to_proto(membership: Membership) -> messages.Membership:
    """The membership as fellow members see it."""
    message = messages.Membership(
        id=ids.to_text(ids.MEMBERSHIP, membership.id),
        organization_id=ids.to_text(ids.ORGANIZATION, membership.org_id),
        user_id=ids.to_text(ids.USER, membership.user_id),
        email=membership.email,
        name=membership.name,
        role=_ROLES[membership.role],
    )
    message.create_time.FromDatetime(membership.create_time)
    return message


def role_to_proto(role: Role) -> messages.Role.ValueType:
    """The role as callers see it."""
    return _ROLES[role]
