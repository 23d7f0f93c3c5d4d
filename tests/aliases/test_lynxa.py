"""Lynxa's documented calls, as documented."""

from __future__ import annotations

import re

import pytest

from tests.aliases.wire import Wire
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant

CHAT = "POST /api/lynxa"
HELLO = [{"role": "user", "content": "Who are you?"}]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def tenant(served: Served) -> Tenant:
    return make_tenant(served, "10")


async def test_health_has_one_body_for_lynxa_and_lightspeedpay(wire: Wire) -> None:
    health = await wire.ok("GET /api/health")
    assert health["status"] == "healthy"
    assert TIME.fullmatch(health["timestamp"])
    assert health["service"] == "tollbridge"
    assert health["success"] is True
    assert health["data"]["status"] == "healthy"


async def test_the_information_names_version_and_endpoints(wire: Wire) -> None:
    info = await wire.ok("GET /api/info")
    assert (info["name"], bool(info["version"])) == ("tollbridge", True)
    assert {"verb": "GET", "path": "/v1/keys", "rpc": "tollbridge.keys.v1.KeyService.ListKeys"} in info["endpoints"]


async def test_three_trial_keys_a_day_and_then_429(served: Served) -> None:
    wire = Wire(served.http)
    for wrong in ({}, {"email": "nobody"}):
        refused = await wire.send("POST /api/keys/generate", wrong)
        assert (refused.status, refused.json["error"]["param"]) == (400, "email")
    keys: list[str] = []
    for number, path in enumerate(("/api/keys/generate", "/api/generate-key", "/api/keys/generate")):
        made = await wire.ok(f"POST {path}", {"email": f"trial-{number}@example.com"})
        keys.append(made["key"])
        assert set(made) == {"success", "key", "expires", "tier"}
        assert (made["success"], made["tier"]) == (True, "free")
        assert TIME.fullmatch(made["expires"])
        assert re.fullmatch(r"tb_live_[A-Za-z0-9_-]{64,}", made["key"])
    assert (await wire.send("GET /api/user/keys", key=keys[0])).status == 200
    limited = await wire.send("POST /api/generate-key", {"email": "trial-4@example.com"})
    assert limited.status == 429
    assert int(limited.headers["Retry-After"]) > 0


async def test_keys_are_listed_masked(wire: Wire, tenant: Tenant) -> None:
    answer = await wire.send("GET /api/user/keys", key=tenant.key)
    (key,) = answer.json["keys"]
    assert key["id"] == tenant.key_id
    assert TIME.fullmatch(key["created"])
    assert key["expires"] is None
    assert tenant.key.encode() not in answer.body
    assert not {"secret", "hash", "digest"} & set(key)


async def test_a_key_is_revoked_by_its_secret_or_by_itself(wire: Wire, served: Served, tenant: Tenant) -> None:
    other = make_tenant(served)
    second = served.post("/v1/keys", {"name": "second"}, tenant.token)["secret"]
    revoke = "DELETE /api/revoke-key"
    assert (await wire.send(revoke, {"apiKey": other.key}, tenant.key)).status == 404
    assert (await wire.send("GET /api/user/keys", key=other.key)).status == 200
    assert (await wire.ok(revoke, {"apiKey": second}, tenant.key))["success"] is True
    await wire.dead_within(second, "GET /api/user/keys", 1.0)
    assert (await wire.ok(revoke, key=tenant.key))["key"]["id"] == tenant.key_id
    await wire.dead_within(tenant.key, "GET /api/user/keys", 1.0)


async def test_a_chat_carries_the_developer_and_its_own_id(wire: Wire, served: Served, tenant: Tenant) -> None:
    body = {"messages": HELLO, "model": "lynxa-pro", "max_tokens": 50, "temperature": 0.25}
    answer = await wire.ok(CHAT, body, tenant.key)
    assert answer["object"] == "chat.completion"
    assert answer["developer"] == "Lynxa"
    assert answer["id"].startswith("msg_")
    assert answer["model"] == "lynxa-pro"
    assert answer["usage"]["total_tokens"] > 0
    sent = served.provider.requests[-1].json
    assert sent["temperature"] == 0.25
    assert sent["messages"][0]["role"] == "system"
    assert sent["messages"][0]["content"].startswith("I'm Lynxa Pro")


async def test_the_short_form_is_a_message_of_the_user(wire: Wire, served: Served, tenant: Tenant) -> None:
    answer = await wire.ok(CHAT, {"message": "hi"}, tenant.key)
    assert answer["choices"][0]["message"]["content"]
    sent = served.provider.requests[-1].json
    assert sent["messages"][-1] == {"role": "user", "content": "hi"}
    assert "message" not in sent


async def test_a_stream_ends_with_usage_and_done(wire: Wire, served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=5, prompt_tokens=9))
    body = {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
    answer = await wire.send(CHAT, body, tenant.key)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.text == served.provider.requests[-1].text
    (identity,) = {chunk["id"] for chunk in answer.chunks}
    assert identity.startswith("msg_")
    assert {chunk["developer"] for chunk in answer.chunks} == {"Lynxa"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in answer.chunks if chunk["choices"]][-1] == "stop"
    assert answer.chunks[-1]["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"message": "hi", "messages": HELLO}, "messages"),
        ({"message": 5}, "message"),
        ({}, "messages"),
        ({"messages": HELLO, "max_tokens": 0}, "max_tokens"),
    ],
)
async def test_a_wrong_chat_names_its_field(wire: Wire, tenant: Tenant, body: dict[str, object], param: str) -> None:
    refused = await wire.send(CHAT, body, tenant.key)
    assert refused.status == 400
    assert refused.json["error"]["param"] == param


async def test_the_organization_is_read_and_changed_but_not_its_plan(wire: Wire, tenant: Tenant) -> None:
    own = f"/api/organizations?org_id={tenant.organization_id}"
    changed = await wire.ok(f"PUT {own}", {"name": "Renamed", "plan": "enterprise"}, tenant.token)
    assert changed["organization"]["name"] == "Renamed"
    assert (await wire.ok(f"GET {own}", key=tenant.token))["organization"]["name"] == "Renamed"
    assert (await wire.ok("GET /api/organizations", key=tenant.token))["organization"]["name"] == "Renamed"
    subscription = (await wire.ok("GET /api/billing?action=subscription", key=tenant.token))["subscription"]
    assert (subscription["plan_id"], subscription["status"]) == ("baby-free", "active")


async def test_another_organization_looks_like_none(wire: Wire, served: Served, tenant: Tenant) -> None:
    other = make_tenant(served)
    for org_id in (other.organization_id, "org_unknown"):
        read = await wire.send(f"GET /api/organizations?org_id={org_id}", key=tenant.token)
        written = await wire.send(f"PUT /api/organizations?org_id={org_id}", {"name": "stolen"}, tenant.token)
        assert (read.status, written.status) == (404, 404)
    assert (await wire.ok("GET /api/organizations", key=other.token))["organization"]["name"] == "Tenant"


async def test_an_unknown_action_is_refused(wire: Wire, tenant: Tenant) -> None:
    refused = await wire.send("GET /api/billing?action=nonsense", key=tenant.token)
    assert (refused.status, refused.json["error"]["param"]) == (400, "action")
    assert (await wire.send("GET /api/billing?action=nonsense")).status == 401


async def test_a_plan_bounds_requests_an_hour(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served, plan="free")
    (hour, minute) = sorted((await wire.ok("GET /v1/limits", key=tenant.key))["standings"], key=lambda row: row["name"])
    assert (hour["name"], hour["limit"], hour["remaining"]) == ("requests_per_hour", 1000, 1000)
    assert (minute["name"], minute["limit"]) == ("requests_per_minute", 100)
