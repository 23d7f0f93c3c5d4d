"""The comparison of plans is a path of its own, whatever plans are called."""

from __future__ import annotations

import httpx2

from tests.support.clients import Client
from tests.support.served import Served
from tests.support.tenants import make_tenant

SERVICE = "tollbridge.plans.v1.PlanService"


async def test_the_comparison_is_no_plan_and_no_plan_hides_it(client: Client, served: Served) -> None:
    tenant = make_tenant(served, plan="free")
    compared = await client.call(f"{SERVICE}/ComparePlans", {}, tenant.key)
    assert [row["plan"]["id"] for row in compared["plans"] if row["current"]] == [compared["current_plan_id"]]
    headers = {"Authorization": f"Bearer {tenant.key}"}
    for path, status in (("/v1/plans:compare", 200), ("/v1/plans/compare", 404), ("/v1/plans/leveler", 200)):
        answer = httpx2.get(served.http + path, headers=headers, timeout=30)
        assert answer.status_code == status, path
        assert ("limits" in answer.json() and "plans" in answer.json()) == (path == "/v1/plans:compare")
