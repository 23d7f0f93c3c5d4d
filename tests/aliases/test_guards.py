"""An alias is no way around anything: every route of every file keeps the guards of the canonical one."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import pytest

from bridge.aliases.route import AliasRoute
from bridge.caller import MAX_BODY_BYTES
from tests.aliases.conftest import ALIASES
from tests.aliases.wire import Wire
from tests.support.served import Served
from tests.support.tenants import make_tenant

ROUTES: Final = {route.call: route for system in ALIASES.systems for route in system.routes}
WITH_CREDENTIAL: Final = [route for route in ROUTES.values() if route.method.wants_credential]
WITH_BODY: Final = [route for route in ROUTES.values() if route.binding.body]
JSON: Final = {"Content-Type": "application/json"}
VERBS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def call_of(route: AliasRoute, verb: str = "") -> str:
    """The call, with something in the place of each variable."""
    target = re.sub(r"\{[^}]*\}", "org_unknown", route.call.partition(" ")[2]).replace("=*", "=org_unknown")
    return f"{verb or route.http_verb} {target}"


def name_of(route: AliasRoute) -> str:
    return route.call


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=name_of)
async def test_without_a_credential_it_is_401(wire: Wire, route: AliasRoute) -> None:
    for key in ("", "tb_live_" + "x" * 70, "key_x:y"):
        refused = await wire.send(call_of(route), key=key, data=b"{", headers=JSON)
        assert refused.status == 401, (key, refused.body)
        assert refused.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("route", ROUTES.values(), ids=name_of)
async def test_another_verb_is_405_with_allow(wire: Wire, route: AliasRoute) -> None:
    served = {other.http_verb for other in ROUTES.values() if other.path == route.path}
    verb = next(verb for verb in reversed(VERBS) if verb not in served)
    refused = await wire.send(call_of(route, verb))
    assert refused.status == 405
    allowed = {verb.strip() for verb in refused.headers["Allow"].split(",")}
    assert served <= allowed
    assert verb not in allowed


@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
async def test_a_body_that_is_no_json_is_refused(wire: Wire, owner: str, route: AliasRoute) -> None:
    for data, headers, status in (
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"a": 1, "a": 2}', JSON, 400),
        (b"\xff", JSON, 400),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
    ):
        refused = await wire.send(call_of(route), key=owner, data=data, headers=headers)
        assert refused.status == status, (data, refused.body)


@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
async def test_a_body_that_is_too_large_is_413_unread(wire: Wire, owner: str, route: AliasRoute) -> None:
    host, _, port = wire.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    verb, _, target = call_of(route).partition(" ")
    head = f"{verb} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {owner}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_role_that_is_too_low_is_403(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served)
    refused = await wire.send("PUT /api/organizations?org_id=org_x", {"name": "x"}, tenant.key)
    assert refused.status == 403
    service = served.post("/v1/keys", {"scopes": ["service"]}, served.admin_token)["secret"]
    assert (await wire.send("POST /api/lynxa", {"message": "hi"}, service)).status == 403


async def test_an_alias_is_metered_under_its_rpc(served: Served) -> None:
    wire = Wire(served.http)
    await wire.ok("GET /api/info")
    meters = (await wire.send("GET /metrics")).body.decode()
    assert 'method="tollbridge.platform.v1.PlatformService.GetInfo"' in meters
    assert "/api/info" not in meters
