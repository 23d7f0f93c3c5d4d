"""PlanService: plans on offer, and the caller's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

from server.foundation.clock import Clock
from server.organizations.directory import target_of
from server.plans import store
from server.plans.comparison import compare
from server.plans.plans import Plan, subscription_to_proto, to_proto
from server.plans.subscriptions import Subscriptions
from server.rpc.context import CallContext
from server.rpc.errors import InvalidPageTokenError, NotFoundError
from server.rpc.pagination import Paginator
from server.storage.database import Database
from tollbridge.plans.v1 import plan_pb2
from tollbridge.plans.v1.plan_service_pb2 import (
    AssignPlanRequest,
    ComparePlansRequest,
    ComparePlansResponse,
    GetPlanRequest,
    GetSubscriptionRequest,
    ListPlansRequest,
    ListPlansResponse,
)

StandingsOf = Callable[[UUID], Awaitable[Iterable[plan_pb2.LimitStanding]]]
"""How the limits of an organization's plan stand; bound in `server.app`."""


class PlanService:
    """Serves tollbridge.plans.v1.PlanService."""

    NAME = "tollbridge.plans.v1.PlanService"

    def __init__(
        self,
        database: Database,
        paginator: Paginator,
        subscriptions: Subscriptions,
        standings: StandingsOf,
        clock: Clock,
    ) -> None:
        self._database = database
        self._paginator = paginator
        self._subscriptions = subscriptions
        self._standings = standings
        self._clock = clock

    async def list_plans(self, request: ListPlansRequest, context: CallContext) -> ListPlansResponse:
        """Plans on offer by family and price, with the id of the caller's own. Raises `InvalidPageTokenError`."""
        org_id = context.principal.org_id
        page = self._paginator.open(context, request.page_size, request.page_token, [request.family])
        async with self._database.tenant(org_id) as transaction:
            after = _position(page.after)
            plans = await store.list_plans(transaction, org_id, after, page.size + 1, request.family)
            current = await store.get_current(transaction, org_id)
        shown, more = plans[: page.size], len(plans) > page.size
        return ListPlansResponse(
            plans=[to_proto(plan) for plan in shown],
            next_page_token=self._paginator.next_token(context, page, _after(shown[-1])) if more else "",
            current_plan_id="" if current is None else current.id,
        )

    async def compare_plans(self, request: ComparePlansRequest, context: CallContext) -> ComparePlansResponse:
        """Plans on offer side by side."""
        org_id = context.principal.org_id
        async with self._database.tenant(org_id) as transaction:
            plans = await store.list_offered(transaction, request.family)
            current = await store.get_current(transaction, org_id)
        return compare(plans, "" if current is None else current.id)

    async def get_plan(self, request: GetPlanRequest, context: CallContext) -> plan_pb2.Plan:
        """One plan. Raises `NotFoundError`."""
        org_id = context.principal.org_id
        async with self._database.tenant(org_id) as transaction:
            plan = await store.get_plan(transaction, org_id, request.id)
        if plan is None:
            raise NotFoundError("plan")
        return to_proto(plan)

    async def get_subscription(self, _request: GetSubscriptionRequest, context: CallContext) -> plan_pb2.Subscription:
        """What the caller's organization is on. Raises `NotFoundError` where that is nothing."""
        org_id = context.principal.org_id
        async with self._database.tenant(org_id) as transaction:
            subscription = await store.get_subscription(transaction, org_id)
        if subscription is None:
            raise NotFoundError("subscription")
        return subscription_to_proto(subscription, await self._standings(org_id))

    async def assign_plan(self, request: AssignPlanRequest, context: CallContext) -> plan_pb2.Subscription:
        """Puts an organization on a plan. Raises `NotFoundError`."""
        org_id = target_of(context, request.organization_id)
        now = self._clock.now()
        return subscription_to_proto(await self._subscriptions.assign(context, org_id, request.plan_id, now))


def _after(plan: Plan) -> tuple[str, str, str]:
    return plan.family, str(plan.price), plan.id


def _position(after: tuple[str, ...] | None) -> tuple[str, int, str] | None:
    if after is None:
        return None
    try:
        family, price, plan_id = after
        return family, int(price), plan_id
    except ValueError as error:
        raise InvalidPageTokenError from error
