"""No key reaches further than whoever made it (guarantee D3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.auth.registrar import AccountWish
from server.keys.key_ring import KeyWish
from server.rpc.access import ROLE_PERMISSIONS, SCOPE_PERMISSIONS
from server.rpc.context import CallContext
from server.rpc.errors import NotFoundError, PermissionDeniedError
from server.rpc.principal import Principal
from tests.support.identity import PASSWORD, Identity, origin
from tollbridge.auth.v1 import auth_service_pb2 as auth


async def member(identity: Identity, role: str) -> tuple[Principal, Principal]:
    """An owner, and the same person in another role with another id of a person."""
    owner = await identity.principal((await identity.register()).access_token)
    stranger = await identity.principal((await identity.register()).access_token)
    return owner, replace(owner, user_id=stranger.user_id, permissions=ROLE_PERMISSIONS[role])


def calling(principal: Principal) -> CallContext:
    return CallContext("/tollbridge.keys.v1.KeyService/CreateKey", origin(), {}, principal)


async def create(identity: Identity, caller: Principal, *scopes: str, models: tuple[str, ...] = ()) -> Principal:
    """Makes a key and answers it as a caller."""
    _, secret = await identity.ring.create(calling(caller), KeyWish("", scopes, models))
    return await identity.principal(secret)


@pytest.mark.parametrize(
    ("role", "scope", "allowed"),
    [
        ("OWNER", "chat", True),
        ("OWNER", "manage", True),
        ("OWNER", "service", False),
        ("ADMIN", "manage", True),
        ("ADMIN", "service", False),
        ("MEMBER", "chat", True),
        ("MEMBER", "manage", False),
        ("MEMBER", "service", False),
    ],
)
async def test_scopes_end_where_the_creators_rights_end(
    identity: Identity, role: str, scope: str, allowed: bool
) -> None:
    _, caller = await member(identity, role)
    if allowed:
        made = await create(identity, caller, scope)
        assert made.permissions == SCOPE_PERMISSIONS[scope]
        return
    with pytest.raises(PermissionDeniedError):
        await create(identity, caller, scope)
    with pytest.raises(PermissionDeniedError):
        await create(identity, caller, "chat", scope)


async def test_a_key_makes_keys_no_wider_than_itself(identity: Identity) -> None:
    owner, _ = await member(identity, "OWNER")
    manage = await create(identity, owner, "manage", models=("a", "b"))
    assert (await create(identity, manage, "chat", models=("a",))).models == {"a"}
    for scopes, models in ((("service",), ("a",)), (("chat",), ()), (("chat",), ("a", "c"))):
        with pytest.raises(PermissionDeniedError):
            await create(identity, manage, *scopes, models=models)
    chat = await create(identity, owner, "chat")
    with pytest.raises(PermissionDeniedError):
        await create(identity, chat, "manage")


async def test_a_key_cannot_widen_its_own_models(identity: Identity) -> None:
    owner, _ = await member(identity, "OWNER")
    manage = await create(identity, owner, "manage", models=("a",))
    assert manage.key_id is not None
    with pytest.raises(PermissionDeniedError):
        await identity.ring.update(calling(manage), manage.key_id, {"models": ()}, "")
    await identity.ring.update(calling(manage), manage.key_id, {"name": "mine"}, "")


async def test_service_is_granted_by_an_administrator_in_person_only(identity: Identity) -> None:
    issued = await identity.administration.create_admin(AccountWish("root@example.com"))
    tokens = await identity.login("root@example.com", issued.one_time_password)
    admin = await identity.principal(tokens.access_token)
    service = await create(identity, admin, "service")
    assert service.permissions == {"keys.verify"}
    assert not service.platform_admin
    with pytest.raises(PermissionDeniedError):
        await create(identity, service, "service")
    assert service.key_id is not None
    owner_role = replace(admin, platform_admin=False, permissions=ROLE_PERMISSIONS["OWNER"])
    with pytest.raises(PermissionDeniedError):
        await identity.ring.update(calling(owner_role), service.key_id, {"name": "longer"}, "")
    revoked = await identity.ring.revoke(calling(owner_role), service.key_id)
    assert revoked.revoke_time is not None, "an owner may end any key"


async def test_a_member_reaches_only_keys_of_its_own(identity: Identity) -> None:
    owner, plain = await member(identity, "MEMBER")
    owners, mine = await create(identity, owner, "chat"), await create(identity, plain, "chat")
    assert owners.key_id is not None
    assert mine.key_id is not None
    ring = identity.ring
    assert [key.id for key in await ring.list_page(calling(plain), None, 10)] == [mine.key_id]
    for call in (
        ring.get(calling(plain), owners.key_id),
        ring.update(calling(plain), owners.key_id, {"name": "mine"}, ""),
        ring.revoke(calling(plain), owners.key_id),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert (await ring.revoke(calling(plain), mine.key_id)).revoke_time is not None
    assert {key.id for key in await ring.list_page(calling(owner), None, 10)} == {owners.key_id, mine.key_id}
    assert len(await ring.list_page(calling(owners), None, 10)) == 2, "a key lists the organization's"


async def test_a_key_never_carries_its_owners_platform_roles(identity: Identity) -> None:
    issued = await identity.administration.create_admin(AccountWish("root@example.com"))
    tokens = await identity.login("root@example.com", issued.one_time_password)
    request = auth.ChangePasswordRequest(current_password=issued.one_time_password, new_password=PASSWORD)
    await identity.auth.change_password(request, await identity.as_caller(tokens.access_token))
    admin = await identity.principal(tokens.access_token)
    key = await create(identity, admin, "manage")
    assert not key.platform_admin
    assert "balance.adjust" not in key.permissions
