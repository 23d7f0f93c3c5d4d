"""KnockXPrime's documented calls, as documented."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.aliases.wire import Wire
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant

PASSWORD = "correct horse battery"
HELLO = [{"role": "user", "content": "Say hello."}]
CHAT = "POST /api/v1/chat/completions"


@pytest.fixture
def tenant(served: Served) -> Tenant:
    return make_tenant(served, "10")


async def registered(wire: Wire) -> tuple[str, Any]:
    name = f"ada-{uuid4().hex[:10]}"
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "plan": "high-max"}
    return name, await wire.ok("POST /api/v1/users/register", body, status=201)


@pytest.mark.parametrize("call", ["GET /", "GET /api", "GET /api/"])
async def test_the_root_says_what_runs_here(wire: Wire, call: str) -> None:
    info = await wire.ok(call)
    assert info["name"] == "tollbridge"
    assert info["version"]
    assert info["links"] == {"docs": "/docs", "openapi": "/openapi.json", "health": "/health"}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_health_answers_with_and_without_a_slash_and_never_redirects(wire: Wire, slash: str) -> None:
    health = await wire.ok(f"GET /health{slash}")
    assert health["status"] == "healthy"
    assert (await wire.ok(f"GET /health/ping{slash}"))["message"] == "pong"
    database = await wire.ok(f"GET /health/database{slash}")
    assert (database["status"], database["database"]) == ("healthy", "connected")
    assert (await wire.ok(f"GET /health/keep-alive{slash}"))["status"] == "alive"


async def test_a_plan_in_the_registration_grants_nothing(wire: Wire) -> None:
    name, account = await registered(wire)
    assert account["token_type"] == "bearer"
    assert account["user"]["username"] == name
    usage = await wire.ok("GET /api/v1/chat/usage", key=account["access_token"])
    assert usage["plan"] == "baby-free"
    again = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    assert (await wire.send("POST /api/v1/users/register", again)).status == 409


async def test_one_signs_in_by_name_or_e_mail_and_reads_the_profile(wire: Wire) -> None:
    name, _ = await registered(wire)
    for login in (name, f"{name}@example.com"):
        session = await wire.ok("POST /api/v1/users/login", {"username": login, "password": PASSWORD})
        assert session["token_type"] == "bearer"
        assert session["user"]["email"] == f"{name}@example.com"
        profile = await wire.ok("GET /api/v1/users/profile", key=session["access_token"])
        assert (profile["username"], profile["email"]) == (name, f"{name}@example.com")
    wrong = await wire.send("POST /api/v1/users/login", {"username": name, "password": "wrong password"})
    assert wrong.status == 401
    assert wrong.headers["WWW-Authenticate"]


async def test_the_profile_is_read_by_a_key_too(wire: Wire, tenant: Tenant) -> None:
    profile = await wire.ok("GET /api/v1/users/profile", key=tenant.key)
    assert profile["organization"]["id"] == tenant.organization_id
    assert profile["key_id"] == tenant.key_id


async def test_a_chat_tells_what_is_left_today(wire: Wire, served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=7, prompt_tokens=11), Script(tokens=7, prompt_tokens=11))
    answer = await wire.ok(CHAT, {"model": "gpt-4o-mini", "messages": HELLO}, tenant.key)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]
    info = answer["usage_info"]
    assert (info["plan"], info["tokens_used"]) == ("baby-free", 18)
    assert (info["tokens_remaining"], info["requests_remaining"]) == (982, 9)
    streamed = await wire.send(CHAT, {"model": "gpt-4o-mini", "messages": HELLO, "stream": True}, tenant.key)
    assert streamed.headers["Content-Type"] == "text/event-stream"
    assert streamed.text == served.provider.requests[-1].text
    *before, last = streamed.chunks
    assert all("usage_info" not in chunk for chunk in before)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert (last["usage_info"]["tokens_remaining"], last["usage_info"]["requests_remaining"]) == (964, 8)
    usage = await wire.ok("GET /api/v1/chat/usage", key=tenant.key)
    assert (usage["tokens_used"], usage["tokens_remaining"], usage["tokens_limit"]) == (36, 964, 1000)
    assert (usage["requests_used"], usage["requests_remaining"], usage["requests_limit"]) == (2, 8, 10)


async def test_usage_that_was_asked_for_comes_with_the_rest(wire: Wire, served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=3, prompt_tokens=5))
    body = {
        "model": "gpt-4o-mini",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    chunks = (await wire.send(CHAT, body, tenant.key)).chunks
    assert chunks[-1]["usage"]["total_tokens"] == 8
    assert chunks[-1]["usage_info"]["tokens_used"] == 8
    assert [chunk for chunk in chunks if "usage_info" in chunk] == [chunks[-1]]


async def test_the_daily_plan_bounds_requests_and_tells_when_it_resets(
    wire: Wire, served: Served, tenant: Tenant
) -> None:
    served.provider.when("gpt-4o-mini", Script(tokens=1, prompt_tokens=9))
    body = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 1}
    for left in reversed(range(10)):
        answer = await wire.send(CHAT, body, tenant.key)
        assert (answer.status, answer.headers["x-ratelimit-remaining-requests"]) == (200, str(left))
    refused = await wire.send(CHAT, body, tenant.key)
    assert refused.status == 429
    assert 0 < float(refused.headers["Retry-After"]) <= 86_400
    usage = await wire.ok("GET /api/v1/chat/usage", key=tenant.key)
    assert (usage["requests_remaining"], usage["tokens_remaining"]) == (0, 900)
    limits = await wire.ok("GET /v1/limits", key=tenant.key)
    tightest = limits["standings"][0]
    assert (tightest["name"], tightest["remaining"]) == ("requests_per_day", 0)
    resets = datetime.fromisoformat(tightest["reset_time"])
    assert abs(resets - datetime.fromisoformat(usage["resets_at"])) < timedelta(seconds=2)


async def test_a_request_without_a_maximum_gets_what_is_left(wire: Wire, served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=2000, prompt_tokens=10))
    answer = await wire.send(CHAT, {"model": "gpt-4o-mini", "messages": HELLO}, tenant.key)
    assert answer.status == 200
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert 0 <= answer.json["usage_info"]["tokens_remaining"] < 1000
    assert int(answer.headers["x-tollbridge-max-tokens-clamped"]) < 1000


async def test_the_price_is_that_of_the_canonical_route(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served, "10", plan="unlimited")
    served.provider.next(Script(tokens=7, prompt_tokens=11), Script(tokens=7, prompt_tokens=11))
    body = {"model": "gpt-4o-mini", "messages": HELLO}
    for call in (CHAT, "POST /v1/chat/completions"):
        await wire.ok(call, body, tenant.key)
    events = (await wire.ok("GET /api/v1/usage/history", key=tenant.key))["events"]
    assert len({event["cost"] for event in events}) == 1
    assert Decimal(events[0]["cost"]) > 0
    spent = sum(Decimal(event["cost"]) for event in events)
    balance = await wire.ok("GET /v1/billing/balance", key=tenant.key)
    assert Decimal(balance["balance"]) == 10 - spent


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_daily_plans_are_listed(wire: Wire, tenant: Tenant, slash: str) -> None:
    listed = await wire.ok(f"GET /api/v1/plans{slash}", key=tenant.token)
    shown = [
        (plan["id"], plan["name"], plan["price"], plan["daily_token_limit"], plan["daily_request_limit"])
        for plan in listed["plans"]
    ]
    assert shown == [
        ("baby-free", "Baby Free", "0", 1000, 10),
        ("leveler", "Leveler", "4", 5000, 100),
        ("log-min", "Log Min", "10", 20_000, 500),
        ("high-max", "High Max", "100", 100_000, 2000),
    ]
    assert listed["current_plan"] == "baby-free"


async def test_one_plan_is_read_and_an_unknown_one_is_not_found(wire: Wire, tenant: Tenant) -> None:
    assert (await wire.ok("GET /api/v1/plans/leveler", key=tenant.key))["daily_token_limit"] == 5000
    unknown = await wire.send("GET /api/v1/plans/nonsense", key=tenant.key)
    assert unknown.status == 404
    family = await wire.send("GET /api/v1/plans/?family=platform", key=tenant.key)
    assert family.status == 400


async def test_the_plans_stand_side_by_side(wire: Wire, tenant: Tenant) -> None:
    compared = await wire.ok("GET /api/v1/plans/compare/pricing", key=tenant.key)
    assert [each["plan"]["id"] for each in compared["plans"]] == ["baby-free", "leveler", "log-min", "high-max"]
    assert (await wire.send("GET /api/v1/plans/compare", key=tenant.key)).status == 404


async def test_a_new_key_ends_the_one_before(wire: Wire, tenant: Tenant) -> None:
    regenerate, profile = "POST /api/v1/users/regenerate-api-key", "GET /api/v1/users/profile"
    first = (await wire.ok(regenerate, key=tenant.token))["api_key"]
    assert (await wire.send(profile, key=first)).status == 200
    second = (await wire.ok(regenerate, key=tenant.token))["api_key"]
    await wire.dead_within(first, profile, 1.0)
    assert (await wire.send(profile, key=second)).status == 200


async def test_a_month_is_the_sum_of_its_days(wire: Wire, served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=2, prompt_tokens=3))
    await wire.ok(CHAT, {"model": "gpt-4o-mini", "messages": HELLO}, tenant.key)
    current = await wire.ok("GET /api/v1/usage/current", key=tenant.key)
    days = (await wire.ok("GET /api/v1/usage/daily", key=tenant.key))["days"]
    months = (await wire.ok("GET /api/v1/usage/monthly?page_size=1", key=tenant.key))["months"]
    stats = await wire.ok("GET /api/v1/usage/stats", key=tenant.key)
    assert months[0]["totals"]["tokens"]["total"] == sum(day["totals"]["tokens"]["total"] for day in days) == 5
    assert current["month"]["totals"] == months[0]["totals"] == stats["period"]["totals"]
