"""From registration to a revoked key, over every transport."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.support.clients import Client, Failure
from tests.support.served import Served
from tests.support.tenants import PASSWORD, make_tenant

AUTH = "tollbridge.auth.v1.AuthService"
KEYS = "tollbridge.keys.v1.KeyService"
BILLING = "tollbridge.billing.v1.BillingService"


async def failure(client: Client, method: str, request: dict[str, Any] | None = None, key: str = "") -> Failure:
    """How a call is refused."""
    with pytest.raises(Failure) as caught:
        await client.call(method, request, key)
    return caught.value


async def test_register_use_and_leave(client: Client) -> None:
    email = f"ada-{uuid4().hex}@example.com"
    wish = {
        "name": "Ada Ltd",
        "email": email,
        "password": PASSWORD,
        "description": "Engines",
        "website": "https://ada.example",
        "phone": "+44 1",
        "address": {"city": "London", "country": "UK"},
    }
    account = await client.call(f"{AUTH}/Register", wish)
    assert account["token_type"] == "bearer"
    assert account["expires_in"] == 3600
    assert account["organization"]["address"] == {"city": "London", "country": "UK"}
    assert (await failure(client, f"{AUTH}/Register", wish)).reason == "account_exists"
    token = account["access_token"]
    me = await client.call(f"{AUTH}/GetMe", {}, token)
    assert me["user"]["email"] == email
    assert me["role"] == "ROLE_OWNER"
    assert me["organization"]["id"] == account["organization"]["id"]
    again = await client.call(f"{AUTH}/Login", {"email": email.upper(), "password": PASSWORD})
    assert again["user"]["id"] == account["user"]["id"]
    await client.call(f"{AUTH}/Logout", {}, token)
    assert (await failure(client, f"{AUTH}/GetMe", {}, token)).reason == "credential_invalid"
    assert (await client.call(f"{AUTH}/GetMe", {}, again["access_token"]))["user"]["email"] == email


async def test_a_wrong_password_and_an_unknown_account_look_the_same(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    wrong = await failure(client, f"{AUTH}/Login", {"email": tenant.email, "password": "not the password"})
    unknown = await failure(
        client, f"{AUTH}/Login", {"email": f"{uuid4().hex}@example.com", "password": "not the password"}
    )
    assert (wrong.reason, wrong.code, wrong.message) == (unknown.reason, unknown.code, unknown.message)
    assert wrong.reason == "login_invalid"


async def test_a_changed_password_ends_other_sessions(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    other = await client.call(f"{AUTH}/Login", {"email": tenant.email, "password": PASSWORD})
    change = {"current_password": PASSWORD, "new_password": "another good one"}
    await client.call(f"{AUTH}/ChangePassword", change, tenant.token)
    assert (await failure(client, f"{AUTH}/GetMe", {}, other["access_token"])).reason == "credential_invalid"
    assert await client.call(f"{AUTH}/GetMe", {}, tenant.token)
    assert (
        await failure(client, f"{AUTH}/Login", {"email": tenant.email, "password": PASSWORD})
    ).reason == "login_invalid"
    assert await client.call(f"{AUTH}/Login", {"email": tenant.email, "password": "another good one"})


async def test_a_refresh_token_works_once_and_reuse_ends_the_session(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    fresh = await client.call(f"{AUTH}/Refresh", {"refresh_token": tenant.refresh_token})
    assert await client.call(f"{AUTH}/GetMe", {}, fresh["access_token"])
    assert (await failure(client, f"{AUTH}/Refresh", {"refresh_token": tenant.refresh_token})).code in {16, 401}
    assert (await failure(client, f"{AUTH}/GetMe", {}, fresh["access_token"])).reason == "credential_invalid"


async def test_a_key_from_birth_to_death(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    made = await client.call(f"{KEYS}/CreateKey", {"name": "mine", "models": ["gpt-4o-mini"]}, tenant.token)
    secret, key = made["secret"], made["key"]
    assert secret.startswith("tb_live_")
    assert len(secret.removeprefix("tb_live_")) >= 64
    listed = await client.call(f"{KEYS}/ListKeys", {}, secret)
    assert secret not in str(listed)
    assert [row["id"] for row in listed["keys"]] == [key["id"], tenant.key_id]
    changed = await client.call(
        f"{KEYS}/UpdateKey", {"key": {"id": key["id"], "name": "renamed", "etag": key["etag"]}}, tenant.token
    )
    assert changed["name"] == "renamed"
    stale = {"key": {"id": key["id"], "name": "again", "etag": key["etag"]}}
    assert (await failure(client, f"{KEYS}/UpdateKey", stale, tenant.token)).reason == "conflict"
    await client.call(f"{KEYS}/RevokeKey", {"id": key["id"]}, tenant.token)
    assert (await failure(client, f"{KEYS}/ListKeys", {}, secret)).reason == "credential_invalid"
    assert (await client.call(f"{KEYS}/GetKey", {"id": key["id"]}, tenant.token))["revoke_time"]


async def test_a_chat_key_reads_but_changes_nothing(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    for method in (f"{BILLING}/GetBalance", f"{KEYS}/ListKeys", "tollbridge.plans.v1.PlanService/ListPlans"):
        assert await client.call(method, {}, tenant.key)
    for method, request in ((f"{KEYS}/CreateKey", {}), (f"{KEYS}/RevokeKey", {"id": tenant.key_id})):
        assert (await failure(client, method, request, tenant.key)).reason == "permission_denied"


async def test_a_tenant_can_never_credit_itself(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    credit = {"amount": "100.0", "operation": "CREDIT"}
    for credential in (tenant.key, tenant.token, served.api_key):
        refused = await failure(client, f"{BILLING}/AdjustBalance", credit, credential)
        assert refused.reason == "permission_denied"
    assert (await client.call(f"{BILLING}/GetBalance", {}, tenant.key))["balance"] == "0"


async def test_an_administrator_credits_and_debits_once(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    credit = {
        "amount": "2.5",
        "operation": "CREDIT",
        "organization_id": tenant.organization_id,
        "transfer_key": f"top-up {client.name}",
    }
    answers = await asyncio.gather(
        *(client.call(f"{BILLING}/AdjustBalance", credit, served.admin_token) for _ in range(5))
    )
    assert {answer["transaction"]["id"] for answer in answers} == {answers[0]["transaction"]["id"]}
    assert (await client.call(f"{BILLING}/GetBalance", {}, tenant.key))["balance"] == "2.5"
    other = {**credit, "amount": "3"}
    assert (await failure(client, f"{BILLING}/AdjustBalance", other, served.admin_token)).reason == "transfer_mismatch"
    debit = {"amount": "3", "operation": "DEBIT", "organization_id": tenant.organization_id}
    assert (await failure(client, f"{BILLING}/AdjustBalance", debit, served.admin_token)).reason == "below_floor"
    listed = await client.call(f"{BILLING}/ListTransactions", {}, tenant.key)
    assert [row["amount"] for row in listed["transactions"]] == ["2.5"]


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-1", "0", "1e308", "9223372036854775808", "0.30000000000000004", "1.0000001", "1e3"]
)
async def test_unclean_amounts_move_nothing(client: Client, served: Served, amount: str) -> None:
    credit = {"amount": amount, "operation": "CREDIT"}
    refused = await failure(client, f"{BILLING}/AdjustBalance", credit, served.admin_token)
    assert refused.code in {3, 400}
    assert refused.fields == ("amount",)


async def test_internal_services_check_keys(client: Client, served: Served) -> None:
    tenant = make_tenant(served)
    service = await client.call(f"{KEYS}/CreateKey", {"scopes": ["service"]}, served.admin_token)
    found = await client.call(f"{KEYS}/VerifyKey", {"secret": tenant.key}, service["secret"])
    assert found["active"] is True
    assert found["organization_id"] == tenant.organization_id
    unknown = await client.call(f"{KEYS}/VerifyKey", {"secret": tenant.key[:-1] + "_"}, service["secret"])
    assert unknown["active"] is False
    assert (
        await failure(client, f"{KEYS}/VerifyKey", {"secret": tenant.key}, tenant.key)
    ).reason == "permission_denied"
    wider = await failure(client, f"{KEYS}/CreateKey", {"scopes": ["service"]}, tenant.token)
    assert wider.reason == "permission_denied"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"amount": true}', b'{"nonsense": 1}', b'{"amount": -1}', b"\xff", b""]
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
async def test_a_caller_is_refused_before_its_body_is(served: Served, body: bytes, content_type: str) -> None:
    tenant = make_tenant(served)
    async with aiohttp.ClientSession(headers={"Content-Type": content_type}) as session:

        async def status(credential: str) -> int:
            headers = {"Authorization": f"Bearer {credential}"}
            async with session.post(f"{served.http}/v1/billing/balance", data=body, headers=headers) as answer:
                return answer.status

        assert await status(tenant.key) == 403
        assert await status("tb_live_wrong") == 401
        assert await status(served.admin_token) in {400, 415}


@pytest.mark.parametrize("field", ["name", "description", "website", "phone"])
async def test_a_nul_character_is_the_caller_s_fault(client: Client, field: str) -> None:
    wish = {"name": "x", "email": f"{uuid4().hex}@example.com", "password": PASSWORD, field: "a\0b"}
    assert (await failure(client, f"{AUTH}/Register", wish)).code in {3, 400}
