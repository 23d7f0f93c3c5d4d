"""AI Aggregator's documented calls, as documented; the canonical routes serve them."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from tests.aliases.wire import Wire
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import make_tenant

BALANCE = "/v1/billing/balance"
CHAT = "POST /v1/chat/completions"
HELLO = [{"role": "user", "content": "Say hello."}]


async def test_a_company_registers_and_signs_in(wire: Wire) -> None:
    email = f"company-{uuid4().hex[:8]}@example.com"
    company = {
        "name": "Company",
        "email": email,
        "password": "securepassword",
        "description": "Sells things.",
        "website": "https://company.example",
        "phone": "+91 20 0000 0000",
        "address": {"city": "Pune", "country": "India"},
    }
    account = await wire.ok("POST /v1/auth/register", company, status=201)
    assert account["token_type"] == "bearer"
    assert account["expires_in"] == 3600
    assert account["organization"]["address"] == {"city": "Pune", "country": "India"}
    assert (await wire.send("POST /v1/auth/register", company)).status == 409
    session = await wire.ok("POST /v1/auth/login", {"email": email, "password": "securepassword"})
    assert set(session) == set(account)
    assert session["user"] == account["user"]


async def test_only_the_platform_credits_and_every_movement_sums(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served, plan="unlimited")
    credit = {"amount": 100.0, "operation": "CREDIT", "organization_id": tenant.organization_id}
    assert (await wire.send(f"POST {BALANCE}", credit, tenant.token)).status == 403
    assert (await wire.send(f"POST {BALANCE}", credit)).status == 401
    await wire.ok(f"POST {BALANCE}", credit, served.admin_token)
    too_much = {**credit, "amount": "100.000001", "operation": "DEBIT"}
    assert (await wire.send(f"POST {BALANCE}", too_much, served.admin_token)).status == 400
    await wire.ok(f"POST {BALANCE}", {**credit, "amount": 0.25, "operation": "DEBIT"}, served.admin_token)
    served.provider.next(Script(tokens=7, prompt_tokens=11))
    for credential in (tenant.key, tenant.token):
        await wire.ok(CHAT, {"model": "gpt-4o-mini", "messages": HELLO}, credential)
    balance = await wire.ok(f"GET {BALANCE}", key=tenant.key)
    listed = (await wire.ok("GET /v1/billing/transactions", key=tenant.key))["transactions"]
    signed = [Decimal(row["amount"]) * (1 if row["direction"] == "CREDIT" else -1) for row in listed]
    assert len(signed) == 4
    assert sum(signed) == Decimal(balance["balance"])
    assert balance["currency"] == "USD"


async def test_an_empty_balance_is_402(wire: Wire, served: Served) -> None:
    tenant = make_tenant(served, plan="unlimited")
    refused = await wire.send(CHAT, {"model": "gpt-4o-mini", "messages": HELLO}, tenant.key)
    assert (refused.status, refused.json["error"]["code"]) == (402, "insufficient_quota")


async def test_health_tells_of_dependencies(wire: Wire) -> None:
    health = await wire.ok("GET /health")
    assert health["status"] == "healthy"
    assert health["dependencies"] == {"server": "up", "database": "up", "cache": "up"}
