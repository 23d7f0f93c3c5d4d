"""Sessions and published keys, over the running product and each transport."""

from __future__ import annotations

import httpx2
import jwt
import pytest

from tests.support.clients import Client, Failure
from tests.support.served import Served
from tests.support.tenants import PASSWORD, make_tenant

AUTH = "tollbridge.auth.v1.AuthService"


async def is_dead(client: Client, token: str) -> bool:
    try:
        await client.call(f"{AUTH}/GetMe", {}, token)
    except Failure as failure:
        return failure.code in {16, 401}
    return False


async def test_sessions_are_listed_and_ended(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    signed_in = await client.call(f"{AUTH}/Login", {"email": tenant.email, "password": PASSWORD})
    token = signed_in["access_token"]
    sessions = (await client.call(f"{AUTH}/ListSessions", {}, token))["sessions"]
    assert [session["current"] for session in sessions] == [True, False]
    assert sessions[0]["ip"] in {"127.0.0.1", "::1"}
    assert sessions[0]["user_agent"]
    await client.call(f"{AUTH}/RevokeSession", {"id": sessions[1]["id"]}, token)
    assert await is_dead(client, tenant.token)
    assert await client.call(f"{AUTH}/LogoutAll", {}, token) == {"ended": 1}
    assert await is_dead(client, token)


async def test_a_key_has_no_sessions(client: Client, served: Served) -> None:
    with pytest.raises(Failure, match="permission_denied"):
        await client.call(f"{AUTH}/ListSessions", {}, make_tenant(served).key)


async def test_whoever_asks_may_verify_tokens(served: Served) -> None:
    answer = httpx2.get(served.http + "/.well-known/jwks.json", timeout=20)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    token = make_tenant(served).token
    key = jwt.PyJWKSet.from_json(answer.text)[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, ["EdDSA"], audience="tollbridge")["iss"] == "tollbridge"
