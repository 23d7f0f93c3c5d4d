"""Members see who else is in their organization, a page at a time."""

from __future__ import annotations

import asyncpg
import pytest

from server.foundation import ids
from server.rpc.errors import InvalidPageTokenError
from tests.support.databases import TestDatabase
from tests.support.identity import Identity, next_id
from tollbridge.organizations.v1 import organization_pb2, organization_service_pb2

METHOD = "/tollbridge.organizations.v1.OrganizationService/ListMemberships"


async def test_members_are_listed_oldest_first_in_pages(identity: Identity, database: TestDatabase) -> None:
    owner = await identity.register(name="Anna", email="anna@example.com")
    others = [await identity.register() for _ in range(3)]
    org_id = ids.from_text(ids.ORGANIZATION, owner.organization.id)
    connection = await asyncpg.connect(database.owner_url)
    for other in others:
        await connection.execute(
            "INSERT INTO membership (id, org_id, user_id, role, create_time) VALUES ($1, $2, $3, 'MEMBER', now())",
            next_id(),
            org_id,
            ids.from_text(ids.USER, other.user.id),
        )
    await connection.close()
    context = await identity.as_caller(owner.access_token, METHOD)
    rows: list[organization_pb2.Membership] = []
    token = ""
    for _ in range(2):
        request = organization_service_pb2.ListMembershipsRequest(
            organization_id=owner.organization.id, page_size=2, page_token=token
        )
        response = await identity.organizations.list_memberships(request, context)
        rows += response.memberships
        token = response.next_page_token
    assert token == ""
    assert [row.user_id for row in rows] == [person.user.id for person in (owner, *others)]
    assert (rows[0].email, rows[0].name, rows[0].role) == ("anna@example.com", "Anna", organization_pb2.ROLE_OWNER)
    assert {row.role for row in rows[1:]} == {organization_pb2.ROLE_MEMBER}
    assert {row.organization_id for row in rows} == {owner.organization.id}


async def test_a_page_token_of_nothing_is_refused(identity: Identity) -> None:
    owner = await identity.register()
    request = organization_service_pb2.ListMembershipsRequest(
        organization_id=owner.organization.id, page_token="nonsense"
    )
    with pytest.raises(InvalidPageTokenError):
        await identity.organizations.list_memberships(request, await identity.as_caller(owner.access_token, METHOD))
