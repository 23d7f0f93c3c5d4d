"""A key that is bound to networks works from inside them only, and says nothing of them (surface LX31)."""

from __future__ import annotations

import pytest

from server.rpc import access
from server.rpc.errors import AddressNotAllowedError, InvalidArgumentError, PermissionDeniedError
from tests.keys.test_life import create, update
from tests.support.identity import Identity
from tollbridge.keys.v1 import key_pb2, key_service_pb2

BOUND = ["192.0.2.0/24", "2001:db8::/32"]


async def call_from(identity: Identity, secret: str, ip: str) -> None:
    """What the pipeline does before a handler runs."""
    caller = await identity.principal(secret, ip)
    access.check(access.AccessRule(frozenset({caller.kind}), "", platform=False), "/a.B/C", caller, ip)


async def test_a_bound_key_works_from_inside_only_and_does_not_tell(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, allowed_cidrs=[*BOUND, "192.0.2.0/24"])
    assert list(made.key.allowed_cidrs) == BOUND
    for inside in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1"):
        await call_from(identity, made.secret, inside)
    for outside in ("192.0.3.1", "203.0.113.7", "::1", ""):
        with pytest.raises(AddressNotAllowedError) as refused:
            await call_from(identity, made.secret, outside)
        told = str(refused.value.to_status("req_1"))
        assert "192.0.2" not in told
        assert "2001:db8" not in told


async def test_a_change_of_networks_counts_at_once(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await call_from(identity, made.secret, "203.0.113.7")
    wanted = key_pb2.Key(id=made.key.id, allowed_cidrs=BOUND)
    assert list((await update(identity, owner.access_token, wanted, "allowed_cidrs")).allowed_cidrs) == BOUND
    with pytest.raises(AddressNotAllowedError):
        await call_from(identity, made.secret, "203.0.113.7")
    await update(identity, owner.access_token, key_pb2.Key(id=made.key.id), "allowed_cidrs")
    await call_from(identity, made.secret, "203.0.113.7")


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "fe80::1%eth0"])
async def test_what_is_no_network_names_its_field(identity: Identity, wrong: str) -> None:
    owner = await identity.register()
    with pytest.raises(InvalidArgumentError) as refused:
        await create(identity, owner.access_token, allowed_cidrs=["10.0.0.0/8", wrong])
    assert [row.field for row in refused.value.fields] == ["allowed_cidrs[1]"]
    made = await create(identity, owner.access_token)
    with pytest.raises(InvalidArgumentError) as refused:
        await update(identity, owner.access_token, key_pb2.Key(id=made.key.id, allowed_cidrs=[wrong]), "allowed_cidrs")
    assert [row.field for row in refused.value.fields] == ["key.allowed_cidrs[0]"]


async def test_a_bound_key_makes_only_keys_inside_its_networks(identity: Identity) -> None:
    owner = await identity.register()
    maker = await create(identity, owner.access_token, scopes=["manage"], allowed_cidrs=BOUND)
    inside = await create(identity, maker.secret, allowed_cidrs=["192.0.2.128/25"])
    for wider in ([], ["192.0.2.0/23"], ["192.0.2.0/25", "203.0.113.7"]):
        with pytest.raises(PermissionDeniedError):
            await create(identity, maker.secret, allowed_cidrs=wider)
        with pytest.raises(PermissionDeniedError):
            wanted = key_pb2.Key(id=inside.key.id, allowed_cidrs=wider)
            await update(identity, maker.secret, wanted, "allowed_cidrs")


async def test_an_internal_service_hears_where_a_bound_key_works(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, allowed_cidrs=BOUND)
    context = await identity.as_caller(owner.access_token)
    for ip, active in (("192.0.2.9", True), ("203.0.113.7", False), ("", False)):
        request = key_service_pb2.VerifyKeyRequest(secret=made.secret, ip=ip)
        assert (await identity.keys.verify_key(request, context)).active is active
