"""Plans on offer, and which one an organization is on."""

from __future__ import annotations

from uuid import UUID

import pytest

from server.foundation import ids
from server.foundation.ids import uuid7
from server.organizations.events import OrganizationCreated
from server.plans.service import PlanService
from server.plans.subscriptions import Subscriptions
from server.rpc.errors import InternalError, InvalidPageTokenError, NotFoundError
from tests.billing.books import PAGINATOR, Books, context_of
from tollbridge.plans.v1.plan_pb2 import LimitStanding, PlanLimits
from tollbridge.plans.v1.plan_service_pb2 import (
    AssignPlanRequest,
    ComparePlansRequest,
    GetPlanRequest,
    GetSubscriptionRequest,
    ListPlansRequest,
)

LIST = "/tollbridge.plans.v1.PlanService/ListPlans"


@pytest.fixture
def service(books: Books) -> PlanService:
    """The service as it is assembled."""
    subscriptions = Subscriptions(books.database, uuid7, "free")
    return PlanService(books.database, PAGINATOR, subscriptions, standings, books.clock)


async def standings(_org_id: UUID) -> list[LimitStanding]:
    """What the limits' own capability tells."""
    return [LimitStanding(subject="plan", name="requests_per_hour", limit=1000, remaining=7)]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_plans_are_listed_by_family_and_price(service: PlanService, books: Books, size: int) -> None:
    context = context_of(await books.organization(), LIST)
    found, token = [], ""
    while True:
        page = await service.list_plans(ListPlansRequest(page_size=size, page_token=token), context)
        found += [(plan.id, plan.price) for plan in page.plans]
        token = page.next_page_token
        if not token:
            break

    daily = [("baby-free", "0"), ("leveler", "4"), ("log-min", "10"), ("high-max", "100")]
    platform = [("free", "0"), ("pro", "49"), ("enterprise", "499")]
    assert found == daily + platform
    assert page.current_plan_id == "free"


async def test_one_family_is_listed_alone(service: PlanService, books: Books) -> None:
    context = context_of(await books.organization(), LIST)
    first = await service.list_plans(ListPlansRequest(page_size=3, family="daily"), context)
    rest = await service.list_plans(
        ListPlansRequest(page_size=3, family="daily", page_token=first.next_page_token), context
    )
    assert [plan.id for plan in (*first.plans, *rest.plans)] == ["baby-free", "leveler", "log-min", "high-max"]
    with pytest.raises(InvalidPageTokenError):
        await service.list_plans(ListPlansRequest(page_size=3, page_token=first.next_page_token), context)


async def test_the_subscription_is_the_caller_s_own(service: PlanService, books: Books) -> None:
    context = context_of(await books.organization())
    subscription = await service.get_subscription(GetSubscriptionRequest(), context)
    assert (subscription.plan.id, subscription.status) == ("free", "active")
    assert subscription.HasField("start_time")
    assert [(standing.name, standing.remaining) for standing in subscription.standings] == [("requests_per_hour", 7)]
    with pytest.raises(NotFoundError):
        await service.get_subscription(GetSubscriptionRequest(), context_of(uuid7()))


@pytest.mark.parametrize(
    ("plan_id", "tokens", "requests"),
    [("baby-free", 1000, 10), ("leveler", 5000, 100), ("log-min", 20_000, 500), ("high-max", 100_000, 2000)],
)
async def test_daily_plans_have_their_documented_limits(
    service: PlanService, books: Books, plan_id: str, tokens: int, requests: int
) -> None:
    plan = await service.get_plan(GetPlanRequest(id=plan_id), context_of(await books.organization()))

    assert (plan.limits.tokens_per_day, plan.limits.requests_per_day, plan.included) == (tokens, requests, True)
    assert not plan.limits.HasField("requests_per_hour")
    assert (plan.family, plan.version, plan.currency) == ("daily", 1, "USD")


async def test_platform_plans_bound_hours_or_nothing(service: PlanService, books: Books) -> None:
    context = context_of(await books.organization())

    plans = [await service.get_plan(GetPlanRequest(id=name), context) for name in ("free", "pro", "enterprise")]

    assert [plan.limits.requests_per_hour for plan in plans] == [1000, 10_000, 0]
    assert [plan.limits.HasField("requests_per_hour") for plan in plans] == [True, True, False]
    assert not any(plan.included for plan in plans)


async def test_a_plan_that_is_not_on_offer_is_seen_by_whoever_is_on_it(service: PlanService, books: Books) -> None:
    on_it, not_on_it = await books.organization(plan="unlimited"), await books.organization()

    listed = await service.list_plans(ListPlansRequest(), context_of(on_it, LIST))
    plan = await service.get_plan(GetPlanRequest(id="unlimited"), context_of(on_it))

    assert "unlimited" in [row.id for row in listed.plans]
    assert (listed.current_plan_id, plan.name) == ("unlimited", "Unlimited")
    for unknown in ("unlimited", "no-such-plan"):
        with pytest.raises(NotFoundError, match="No such plan"):
            await service.get_plan(GetPlanRequest(id=unknown), context_of(not_on_it))


async def test_a_subscription_keeps_its_version_when_the_plan_changes(service: PlanService, books: Books) -> None:
    before = await books.organization(plan="baby-free")
    await books.owner.execute(
        "INSERT INTO plan_version (plan_id, version, price, requests_per_day) VALUES ('baby-free', 2, 1000000000, 5)"
    )
    after = await books.organization(plan="baby-free")
    subscriptions = Subscriptions(books.database, uuid7, "free")

    current = []
    for org_id in (before, after):
        async with books.database.tenant(org_id) as transaction:
            plan = await subscriptions.current(transaction, org_id)
        assert plan is not None
        current.append((plan.version, plan.limits.requests_per_day, plan.limits.tokens_per_day))

    assert current == [(1, 10, 1000), (2, 5, None)]
    shown = await service.get_plan(GetPlanRequest(id="baby-free"), context_of(before))
    assert (shown.version, shown.price) == (2, "1")


async def test_an_administrator_puts_any_organization_on_any_plan_and_others_hear_of_it(
    service: PlanService, books: Books
) -> None:
    org_id = await books.organization()
    context = context_of(await books.organization(), platform_admin=True)
    target = ids.to_text(ids.ORGANIZATION, org_id)

    subscription = await service.assign_plan(AssignPlanRequest(organization_id=target, plan_id="unlimited"), context)

    assert (subscription.plan.id, subscription.plan.limits) == ("unlimited", PlanLimits())
    assert (await service.get_subscription(GetSubscriptionRequest(), context_of(org_id))).plan.id == "unlimited"
    announced = await books.owner.fetchval(
        "SELECT subject FROM invalidation WHERE kind = 'subscription' ORDER BY id DESC"
    )
    assert announced == str(org_id)
    audited = await books.owner.fetchrow("SELECT action, subject FROM audit_entry WHERE org_id = $1", org_id)
    assert audited is not None
    assert tuple(audited) == ("subscription.assign", "unlimited")
    for organization, plan in (
        (target, "no-such-plan"),
        ("org_nonsense", "pro"),
        (ids.to_text(ids.ORGANIZATION, uuid7()), "pro"),
    ):
        with pytest.raises(NotFoundError):
            await service.assign_plan(AssignPlanRequest(organization_id=organization, plan_id=plan), context)


async def test_one_plan_at_a_time(books: Books) -> None:
    org_id = await books.organization()
    subscriptions = Subscriptions(books.database, uuid7, "free")

    async with books.database.tenant(org_id) as transaction:
        await subscriptions.subscribe(transaction, org_id, "pro", books.clock.now())
    async with books.database.tenant(org_id) as transaction:
        with pytest.raises(NotFoundError):
            await subscriptions.subscribe(transaction, org_id, "no-such-plan", books.clock.now())

    rows = await books.owner.fetch("SELECT plan_id, end_time IS NULL AS current FROM subscription ORDER BY start_time")
    assert [(row["plan_id"], row["current"]) for row in rows] == [("free", False), ("pro", True)]


async def test_a_default_that_is_no_plan_is_found_at_the_start(books: Books) -> None:
    wrong = Subscriptions(books.database, uuid7, "fre")

    assert await Subscriptions(books.database, uuid7, "free").default_plan_exists()
    assert not await wrong.default_plan_exists()
    org_id = await books.organization()
    async with books.database.tenant(org_id) as transaction:
        with pytest.raises(InternalError, match="fre"):
            await wrong.organization_created(transaction, OrganizationCreated(org_id, "Acme", books.clock.now()))


async def test_plans_stand_side_by_side(service: PlanService, books: Books) -> None:
    context = context_of(await books.organization(plan="leveler"))
    compared = await service.compare_plans(ComparePlansRequest(family="daily"), context)
    rows = [(row.plan.id, row.plan.price, row.current, row.previous_plan_id) for row in compared.plans]
    assert rows == [
        ("baby-free", "0", False, ""),
        ("leveler", "4", True, "baby-free"),
        ("log-min", "10", False, "leveler"),
        ("high-max", "100", False, "log-min"),
    ]
    assert [(added.limit, added.text) for added in compared.plans[1].adds] == [
        ("requests_per_day", "100 requests a day instead of 10"),
        ("tokens_per_day", "5,000 tokens a day instead of 1,000"),
    ]
    values = {row.name: [value.value for value in row.values] for row in compared.limits}
    assert values == {"requests_per_day": [10, 100, 500, 2000], "tokens_per_day": [1000, 5000, 20_000, 100_000]}
    assert compared.current_plan_id == "leveler"


async def test_a_limit_that_is_gone_is_an_addition(service: PlanService, books: Books) -> None:
    context = context_of(await books.organization(plan="unlimited"))
    compared = await service.compare_plans(ComparePlansRequest(), context)
    # A plan that is not on offer is nobody's to compare, only its owner's to have.
    assert "unlimited" not in [row.plan.id for row in compared.plans]
    assert (compared.current_plan_id, [row.plan.id for row in compared.plans if row.current]) == ("unlimited", [])
    enterprise = next(row for row in compared.plans if row.plan.id == "enterprise")
    assert [(added.limit, added.HasField("now"), added.text) for added in enterprise.adds] == [
        ("requests_per_hour", False, "Requests an hour without a limit, 10,000 before"),
    ]
    hourly = next(row for row in compared.limits if row.name == "requests_per_hour")
    assert [(value.plan_id, value.HasField("value")) for value in hourly.values][-2:] == [
        ("pro", True),
        ("enterprise", False),
    ]
