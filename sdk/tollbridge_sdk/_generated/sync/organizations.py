# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import Iterator
from typing import Any, Unpack

from tollbridge.organizations.v1 import organization_pb2, organization_service_pb2, organization_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, UnaryOptions, rows_of


class Organizations(Service):
    """The caller's own organization and who is in it."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = organization_service_pb2_grpc.OrganizationServiceStub(calls.channel)

    def get_organization(
        self, request: organization_service_pb2.GetOrganizationRequest, **options: Unpack[UnaryOptions]
    ) -> organization_pb2.Organization:
        """Reads an organization. Any other than the caller's own answers like an unknown id."""
        return self._calls.unary(
            self._stub.GetOrganization,
            methods.ORGANIZATIONS_GET_ORGANIZATION,
            request,
            organization_pb2.Organization,
            options,
        )

    def update_organization(
        self, request: organization_service_pb2.UpdateOrganizationRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> organization_pb2.Organization:
        """Changes name, description, website, phone, address and time zone. Owners and administrators
        only."""
        return self._calls.unary(
            self._stub.UpdateOrganization,
            methods.ORGANIZATIONS_UPDATE_ORGANIZATION,
            request,
            organization_pb2.Organization,
            options,
        )

    def list_memberships(
        self, request: organization_service_pb2.ListMembershipsRequest, **options: Unpack[UnaryOptions]
    ) -> organization_service_pb2.ListMembershipsResponse:
        """Lists who is in the organization, oldest first."""
        return self._calls.unary(
            self._stub.ListMemberships,
            methods.ORGANIZATIONS_LIST_MEMBERSHIPS,
            request,
            organization_service_pb2.ListMembershipsResponse,
            options,
        )

    def list_all_memberships(
        self, request: organization_service_pb2.ListMembershipsRequest, **options: Unpack[UnaryOptions]
    ) -> Iterator[organization_pb2.Membership]:
        """Every row of `list_memberships` from the request's page on; pages are read as they are needed."""
        return rows_of(lambda page: self.list_memberships(page, **options), request, lambda page: page.memberships)
