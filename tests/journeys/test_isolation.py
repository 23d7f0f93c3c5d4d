"""No id of another organization opens anything, on any RPC over any transport.

The matrix is made from the protos: every request field with a resource reference, tried with another organization's
id, with one that does not exist and with text that is no id. All three must answer the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import pytest
from google.api import annotations_pb2, resource_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

from server.foundation import ids
from tests.contract.descriptors import rpcs
from tests.support.clients import Client, Failure, method_descriptor
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant
from tollbridge.options.v1 import options_pb2


@dataclass(frozen=True, slots=True)
class Door:
    """A request field that names something of an organization."""

    method: str
    path: tuple[str, ...]
    resource: str

    def __str__(self) -> str:
        return f"{self.method}:{'.'.join(self.path)}"


def doors() -> Iterator[Door]:
    """Every such field of every RPC."""
    for rpc in rpcs():
        descriptor = descriptor_pool.Default().FindMessageTypeByName(rpc.method.input_type.lstrip("."))
        for path, resource in _references(descriptor, ()):
            yield Door(rpc.name, path, resource)


def _references(descriptor: Descriptor, prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for field in descriptor.fields:
        options = field.GetOptions()
        if options.HasExtension(resource_pb2.resource_reference):
            yield (*prefix, field.name), options.Extensions[resource_pb2.resource_reference].type
        elif (
            field.message_type is not None
            and field.message_type.full_name.startswith("tollbridge.")
            and len(prefix) < 3
        ):
            yield from _references(field.message_type, (*prefix, field.name))


def _is_ours(message: Descriptor | None) -> TypeGuard[Descriptor]:
    return message is not None and message.full_name.startswith("tollbridge.")


READ_ONLY: Final = {
    "tollbridge.keys.v1.KeyService/UpdateKey:key.creator_user_id": "set by the server, whatever a caller writes",
}
"""References that a request's resource carries but that open nothing."""

FILTERS: Final = {
    "tollbridge.usage.v1.UsageService/ListUsageEvents:key_id": "a filter: an unknown key has no events",
}
"""References that narrow a list, so that an unknown one answers an empty list instead of an error."""

DOORS: Final = [door for door in doors() if str(door) not in READ_ONLY]
MALFORMED: Final = "../../etc/passwd' OR 1=1 --"


def test_the_matrix_knows_every_door() -> None:
    assert len(DOORS) >= 8
    assert set(FILTERS) | set(READ_ONLY) <= {str(door) for door in doors()}


def request_with(door: Door, value: str) -> dict[str, Any]:
    """A request that is right but for the id."""
    request: dict[str, Any] = dict(_REST.get(door.method, {}))
    owner = request
    for name in door.path[:-1]:
        owner[name] = dict(owner.get(name, {}))
        owner = owner[name]
    owner[door.path[-1]] = value
    return request


_REST: Final[dict[str, dict[str, Any]]] = {
    "tollbridge.keys.v1.KeyService/UpdateKey": {"key": {"name": "stolen"}},
    "tollbridge.organizations.v1.OrganizationService/UpdateOrganization": {"organization": {"name": "stolen"}},
    "tollbridge.billing.v1.BillingService/AdjustBalance": {"amount": "1", "operation": "CREDIT"},
}


def id_of(tenant: Tenant, resource: str) -> str:
    """The tenant's own id of a kind."""
    return {
        "tollbridge/Organization": tenant.organization_id,
        "tollbridge/Key": tenant.key_id,
        "tollbridge/User": tenant.user_id,
        "tollbridge/Session": tenant.session_id,
    }[resource]


def random_id(resource: str) -> str:
    prefix = {
        "tollbridge/Organization": ids.ORGANIZATION,
        "tollbridge/Key": ids.KEY,
        "tollbridge/User": ids.USER,
        "tollbridge/Session": ids.SESSION,
    }
    return ids.to_text(prefix[resource], ids.uuid7())


async def outcome(client: Client, door: Door, value: str, credential: str) -> object:
    """What a try comes to: the answer, or everything of the refusal but the request's own id."""
    try:
        return await client.call(door.method, request_with(door, value), credential)
    except Failure as failure:
        return failure


@pytest.mark.parametrize("door", DOORS, ids=str)
async def test_anothers_id_looks_like_one_that_does_not_exist(client: Client, served: Served, door: Door) -> None:
    descriptor = method_descriptor(door.method)
    if client.name != "grpc" and not descriptor.GetOptions().HasExtension(annotations_pb2.http):
        return
    victim, thief = make_tenant(served), make_tenant(served)
    service = served.post("/v1/keys", {"scopes": ["manage"]}, thief.token)["secret"]
    for credential in (thief.token, thief.key, service):
        others = await outcome(client, door, id_of(victim, door.resource), credential)
        unknown = await outcome(client, door, random_id(door.resource), credential)
        malformed = await outcome(client, door, MALFORMED, credential)
        assert others == unknown
        assert malformed == unknown
        if str(door) not in FILTERS:
            assert isinstance(others, Failure)
            assert others.reason in {"not_found", "permission_denied"}
    await check_untouched(client, victim)


async def check_untouched(client: Client, victim: Tenant) -> None:
    """The victim's things are as they were."""
    key = await client.call("tollbridge.keys.v1.KeyService/GetKey", {"id": victim.key_id}, victim.token)
    assert key["name"] == "test"
    assert not key.get("revoke_time")
    me = await client.call("tollbridge.auth.v1.AuthService/GetMe", {}, victim.token)
    assert me["organization"]["name"] == "Tenant"
    assert (await client.call("tollbridge.billing.v1.BillingService/GetBalance", {}, victim.key))["balance"] == "0"


@pytest.mark.parametrize("rpc", [rpc.name for rpc in rpcs()])
async def test_nothing_but_public_methods_answers_without_a_credential(client: Client, rpc: str) -> None:
    options = method_descriptor(rpc).GetOptions()
    if client.name != "grpc" and not options.HasExtension(annotations_pb2.http):
        return
    if options_pb2.PRINCIPAL_ANYONE in options.Extensions[options_pb2.access].principals:
        return
    for credential in ("", "tb_live_" + "x" * 70, "not.a.token", "%00"):
        with pytest.raises(Failure) as caught:
            await client.call(rpc, _filled(rpc), credential)
        assert caught.value.code in {16, 401}


def _filled(rpc: str) -> dict[str, Any]:
    """Enough of a request that a path can be made of it; free text everywhere."""
    first = next((door for door in DOORS if door.method == rpc), None)
    if first is not None:
        return request_with(first, "free text")
    if rpc.endswith(("CreateProfile", "UpdateProfile")):
        return {"profile": {"id": "free text"}}
    return {"id": "free text"} if rpc.endswith(("GetModel", "GetPlan", "GetProfile", "DeleteProfile")) else {}
