"""LightSpeedPay's documented calls, as documented; every answer in its envelope."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.aliases.wire import Answer, Wire
from tests.support.served import Served
from tests.support.tenants import PASSWORD, Tenant, make_tenant

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def tenant(served: Served) -> Tenant:
    return make_tenant(served, "10")


def success(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    assert set(answer.json) == {"success", "data", "message", "timestamp"}
    assert answer.json["success"] is True
    assert answer.json["message"]
    assert TIME.fullmatch(answer.json["timestamp"])
    return answer.json["data"]


def failure(answer: Answer, status: int) -> Any:
    assert answer.status == status, answer.body
    assert set(answer.json) == {"success", "error", "timestamp"}
    assert answer.json["success"] is False
    assert answer.json["error"]["code"]
    assert answer.json["error"]["message"]
    assert TIME.fullmatch(answer.json["timestamp"])
    return answer.json["error"]


async def test_an_old_refresh_token_kills_the_family(wire: Wire, tenant: Tenant) -> None:
    login = await wire.send("POST /api/v1/auth/login", {"email": tenant.email, "password": PASSWORD})
    first = success(login)
    assert first["access_token"]
    second = success(await wire.send("POST /api/v1/auth/refresh", {"refreshToken": first["refresh_token"]}))
    failure(await wire.send("POST /api/v1/auth/refresh", {"refresh_token": first["refresh_token"]}), 401)
    failure(await wire.send("POST /api/v1/auth/refresh", {"refresh_token": second["refresh_token"]}), 401)


async def test_a_wrong_password_is_told_in_the_envelope(wire: Wire, tenant: Tenant) -> None:
    refused = await wire.send("POST /api/v1/auth/login", {"email": tenant.email, "password": "wrong one here"})
    assert failure(refused, 401)["code"] == "invalid_login"
    assert refused.headers["WWW-Authenticate"]


async def test_id_and_secret_in_headers_are_a_credential(wire: Wire, tenant: Tenant) -> None:
    pair = {"X-Client-Key": tenant.key_id, "X-Client-Secret": tenant.key}
    usage = success(await wire.send("GET /api/v1/merchant/usage", headers=pair))
    assert usage["plan_id"] == "baby-free"


async def test_the_secret_is_never_optional(wire: Wire, served: Served, tenant: Tenant) -> None:
    other = make_tenant(served)
    call = "GET /api/v1/merchant/usage"
    for pair in (
        {"X-Client-Key": tenant.key_id},
        {"X-Client-Secret": tenant.key},
        {"X-Client-Key": tenant.key_id, "X-Client-Secret": ""},
        {"X-Client-Key": tenant.key_id, "X-Client-Secret": "wrong"},
        {"X-Client-Key": tenant.key_id, "X-Client-Secret": tenant.key_id},
        {"X-Client-Key": other.key_id, "X-Client-Secret": tenant.key},
        {"X-Client-Key": tenant.key, "X-Client-Secret": tenant.key},
        {"X-Client-Key": tenant.key_id, "X-Client-Secret": tenant.key, "Authorization": f"Bearer {other.key}"},
    ):
        refused = await wire.send(call, headers=pair)
        failure(refused, 401)
        assert refused.headers["WWW-Authenticate"]
    assert (await wire.send(call, key=f"{other.key_id}:{tenant.key}")).status == 401


async def test_usage_is_not_taken_for_an_id(wire: Wire, tenant: Tenant) -> None:
    merchant = success(await wire.send(f"GET /api/v1/merchant/{tenant.organization_id}", key=tenant.token))
    assert merchant["id"] == tenant.organization_id
    assert "day" in success(await wire.send("GET /api/v1/merchant/usage", key=tenant.token))
    failure(await wire.send("GET /api/v1/merchant/org_unknown", key=tenant.token), 404)


async def test_new_credentials_replace_the_old(wire: Wire, tenant: Tenant) -> None:
    pair = {"X-Client-Key": tenant.key_id, "X-Client-Secret": tenant.key}
    made = success(await wire.send("POST /api/v1/merchant/credentials/regenerate", headers=pair))
    await wire.dead_within(tenant.key, "GET /api/v1/merchant/usage", 1.0)
    renewed = {"X-Client-Key": made["clientKey"], "X-Client-Secret": made["clientSecret"]}
    success(await wire.send("GET /api/v1/merchant/usage", headers=renewed))


async def test_another_merchant_looks_like_none(wire: Wire, served: Served, tenant: Tenant) -> None:
    other = make_tenant(served)
    refused = await wire.send(f"GET /api/v1/merchant/{other.organization_id}", key=tenant.token)
    unknown = await wire.send("GET /api/v1/merchant/org_unknown", key=tenant.token)
    assert failure(refused, 404)["message"] == failure(unknown, 404)["message"]


async def test_wallets_sum_to_the_balance(wire: Wire, tenant: Tenant) -> None:
    data = success(await wire.send("GET /api/v1/wallets", key=tenant.key))
    assert (data["balance"], data["currency"]) == ("10", "USD")
    assert {"kind": "wallet", "balance": "10", "reserved": "0", "available": "10"} in data["wallets"]


async def test_errors_of_the_bridge_itself_wear_the_envelope_too(wire: Wire) -> None:
    call = "/api/v1/auth/login"
    refused = await wire.send(f"GET {call}")
    failure(refused, 405)
    assert "POST" in refused.headers["Allow"]
    failure(await wire.send(f"POST {call}", data=b"{", headers={"Content-Type": "application/json"}), 400)
    failure(await wire.send(f"POST {call}", data=b"a=b", headers={"Content-Type": "text/plain"}), 415)
    failure(await wire.send(f"POST {call}", {"nonsense": 1}), 400)
    large = dict.fromkeys(("X-First", "X-Second", "X-Third"), "x" * 7000)
    failure(await wire.send(f"POST {call}", {}, headers=large), 431)
