# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import AsyncIterator
from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall, rows_of
from tollbridge_sdk.messages import organizations
from tollbridge_sdk.options import CallOptions, KeyedCallOptions


class AsyncOrganizations(AsyncService):
    """The caller's own organization and who is in it."""

    def get_organization(
        self, request: organizations.GetOrganizationRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[organizations.Organization]:
        """Reads an organization. Any other than the caller's own answers like an unknown id."""
        return self._calls.unary(methods.ORGANIZATIONS_GET_ORGANIZATION, request, organizations.Organization, options)

    def update_organization(
        self, request: organizations.UpdateOrganizationRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[organizations.Organization]:
        """Changes name, description, website, phone, address and time zone. Owners and administrators
        only."""
        return self._calls.unary(
            methods.ORGANIZATIONS_UPDATE_ORGANIZATION, request, organizations.Organization, options
        )

    def list_memberships(
        self, request: organizations.ListMembershipsRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[organizations.ListMembershipsResponse]:
        """Lists who is in the organization, oldest first."""
        return self._calls.unary(
            methods.ORGANIZATIONS_LIST_MEMBERSHIPS, request, organizations.ListMembershipsResponse, options
        )

    def list_all_memberships(
        self, request: organizations.ListMembershipsRequest, **options: Unpack[CallOptions]
    ) -> AsyncIterator[organizations.Membership]:
        """Every row of `list_memberships` from the request's page on; pages are read as they are needed."""
        return rows_of(lambda page: self.list_memberships(page, **options), request, lambda page: page.memberships)
