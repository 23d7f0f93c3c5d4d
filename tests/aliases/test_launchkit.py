"""What LaunchKit documents and the canonical API serves."""

from __future__ import annotations

from tests.aliases.wire import Wire
from tests.support.served import Served
from tests.support.tenants import make_tenant


async def test_a_key_is_whole_once_and_masked_ever_after(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served)
    made = await wire.ok("POST /v1/keys", {"name": "server"}, tenant.token, status=201)
    answer = await wire.send("GET /v1/keys", key=tenant.token)
    shown = next(key for key in answer.json["keys"] if key["id"] == made["key"]["id"])
    start, _, end = shown["masked"].partition("…")
    assert made["secret"].startswith(start)
    assert made["secret"].endswith(end)
    assert made["secret"].encode() not in answer.body


async def test_the_platform_plans_are_free_pro_and_enterprise(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served)
    plans = (await wire.ok("GET /v1/plans?family=platform", key=tenant.token))["plans"]
    assert [plan["id"] for plan in plans] == ["free", "pro", "enterprise"]


async def test_the_strictest_of_all_limits_wins(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served, plan="leveler")
    for subject, allowed in (({"organization": True}, 7), ({"model": "gpt-4o-mini"}, 2)):
        wanted = {**subject, "limits": {"requests_per_day": allowed}}
        assert (await wire.ok("PUT /v1/limits", wanted, tenant.token))["limits"] == {"requests_per_day": allowed}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    chats = [await wire.send("POST /v1/chat/completions", body, tenant.key) for _ in range(3)]
    assert [chat.status for chat in chats] == [200, 200, 429]
    limits = (await wire.ok("GET /v1/limits?model=gpt-4o-mini", key=tenant.key))["standings"]
    left = {row["subject"]: row["remaining"] for row in limits if row["name"] == "requests_per_day"}
    assert left == {"model": 0, "organization": 5, "plan": 98}
