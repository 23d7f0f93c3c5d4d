"""An organization is read and changed by its own people, and by nobody else."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from server.foundation import ids
from server.rpc.errors import ConflictError, InvalidArgumentError, NotFoundError
from server.rpc.validation import validate
from server.storage.database import Role
from tests.support.clock import ManualClock
from tests.support.identity import Identity
from tollbridge.auth.v1 import auth_service_pb2 as auth
from tollbridge.organizations.v1 import organization_pb2, organization_service_pb2

Organization = organization_pb2.Organization


async def get(identity: Identity, credential: str, org_id: str) -> Organization:
    request = organization_service_pb2.GetOrganizationRequest(id=org_id)
    return await identity.organizations.get_organization(request, await identity.as_caller(credential))


async def update(identity: Identity, credential: str, organization: Organization, *paths: str) -> Organization:
    request = organization_service_pb2.UpdateOrganizationRequest(
        organization=organization, update_mask=FieldMask(paths=paths)
    )
    return await identity.organizations.update_organization(request, await identity.as_caller(credential))


@pytest.fixture
async def owner(identity: Identity) -> auth.SessionTokens:
    """An owner who is signed in."""
    return await identity.register(name="Acme")


async def test_a_new_organization_counts_days_in_utc(identity: Identity, owner: auth.SessionTokens) -> None:
    organization = await get(identity, owner.access_token, owner.organization.id)
    assert organization == owner.organization
    assert (organization.name, organization.time_zone, organization.suspended) == ("Acme", "UTC", False)


async def test_without_a_mask_what_is_set_is_changed(
    identity: Identity, owner: auth.SessionTokens, clock: ManualClock
) -> None:
    clock.advance(60)
    wanted = Organization(
        id=owner.organization.id, website="https://acme.example", address=organization_pb2.Address(city="Pune")
    )
    changed = await update(identity, owner.access_token, wanted)
    assert (changed.name, changed.website, changed.address.city) == ("Acme", "https://acme.example", "Pune")
    assert changed.etag != owner.organization.etag
    assert changed.update_time.seconds - changed.create_time.seconds == 60
    assert await get(identity, owner.access_token, owner.organization.id) == changed


async def test_a_mask_changes_just_its_fields_and_can_empty_them(identity: Identity, owner: auth.SessionTokens) -> None:
    address = organization_pb2.Address(city="Pune", country="India")
    filled = Organization(id=owner.organization.id, description="text", address=address, time_zone="Asia/Kolkata")
    await update(identity, owner.access_token, filled)
    wanted = Organization(id=owner.organization.id, name="ignored")
    changed = await update(identity, owner.access_token, wanted, "description", "address.city")
    assert (changed.name, changed.description, changed.address.city) == ("Acme", "", "")
    assert (changed.address.country, changed.time_zone) == ("India", "Asia/Kolkata")
    changed = await update(identity, owner.access_token, wanted, "address", "name")
    assert (changed.name, changed.address.country) == ("ignored", "")


@pytest.mark.parametrize("path", ["id", "suspended", "etag", "create_time", "plan", "organization.name", ""])
async def test_other_fields_cannot_be_changed(identity: Identity, owner: auth.SessionTokens, path: str) -> None:
    wanted = Organization(id=owner.organization.id, suspended=True, name="new")
    with pytest.raises(InvalidArgumentError, match=f"update_mask: {path}") as refused:
        await update(identity, owner.access_token, wanted, "name", path)
    assert refused.value.fields[0].field == "update_mask"
    assert await get(identity, owner.access_token, owner.organization.id) == owner.organization, "nothing is half done"


@pytest.mark.parametrize("zone", ["Mars/Phobos", "../../etc/passwd", "/etc/localtime", "UTC+5", "x" * 64, "Europe"])
async def test_a_time_zone_that_is_none_is_refused_by_name(
    identity: Identity, owner: auth.SessionTokens, zone: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await update(identity, owner.access_token, Organization(id=owner.organization.id, time_zone=zone))
    assert refused.value.fields[0].field == "organization.time_zone"


async def test_name_and_time_zone_are_never_empty(identity: Identity, owner: auth.SessionTokens) -> None:
    for path in ("name", "time_zone"):
        with pytest.raises(InvalidArgumentError) as refused:
            await update(identity, owner.access_token, Organization(id=owner.organization.id), path)
        assert refused.value.fields[0].field == f"organization.{path}"


async def test_an_update_may_leave_the_name_out() -> None:
    organization = Organization(id="org_x", time_zone="Europe/Berlin")
    validate(organization_service_pb2.UpdateOrganizationRequest(organization=organization))
    with pytest.raises(InvalidArgumentError, match=r"organization\.name"):
        validate(organization_service_pb2.UpdateOrganizationRequest(organization=Organization(name="x" * 201)))


async def test_of_writes_with_one_etag_one_wins(identity: Identity, owner: auth.SessionTokens) -> None:
    wanted = [Organization(id=owner.organization.id, name=name, etag=owner.organization.etag) for name in "abcd"]
    tries = await asyncio.gather(*(update(identity, owner.access_token, one) for one in wanted), return_exceptions=True)
    assert sum(isinstance(result, Organization) for result in tries) == 1
    assert sum(isinstance(result, ConflictError) for result in tries) == 3


async def test_a_change_is_announced(identity: Identity, owner: auth.SessionTokens) -> None:
    await update(identity, owner.access_token, Organization(id=owner.organization.id, time_zone="Europe/Berlin"))
    async with identity.database.statement(Role.LOOKUP) as statement:
        rows = await statement.fetch("SELECT kind, subject FROM invalidation")
    org_id = ids.from_text(ids.ORGANIZATION, owner.organization.id)
    assert [tuple(row) for row in rows] == [("organization", str(org_id))]


async def test_every_other_organization_is_like_an_unknown_one(identity: Identity, owner: auth.SessionTokens) -> None:
    stranger = await identity.register()
    context = await identity.as_caller(stranger.access_token)
    texts = set()
    user_id = owner.organization.id.replace("org_", "user_")
    for org_id in (owner.organization.id, ids.to_text(ids.ORGANIZATION, ids.uuid7()), "nonsense", user_id, ""):
        update_request = organization_service_pb2.UpdateOrganizationRequest(
            organization=Organization(id=org_id, name="mine")
        )
        for call in (
            identity.organizations.get_organization(
                organization_service_pb2.GetOrganizationRequest(id=org_id), context
            ),
            identity.organizations.update_organization(update_request, context),
            identity.organizations.list_memberships(
                organization_service_pb2.ListMembershipsRequest(organization_id=org_id), context
            ),
        ):
            with pytest.raises(NotFoundError) as refused:
                await call
            texts.add(str(refused.value.to_status("req_1")))
    assert len(texts) == 1
