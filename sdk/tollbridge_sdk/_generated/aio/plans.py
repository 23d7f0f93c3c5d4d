# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import AsyncIterator
from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall, rows_of
from tollbridge_sdk.messages import plans
from tollbridge_sdk.options import CallOptions, KeyedCallOptions


class AsyncPlans(AsyncService):
    """Plans on offer."""

    def list_plans(
        self, request: plans.ListPlansRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[plans.ListPlansResponse]:
        """Lists the plans on offer, by family and price, cheapest first."""
        return self._calls.unary(
            methods.PLANS_LIST_PLANS,
            plans.ListPlansRequest() if request is None else request,
            plans.ListPlansResponse,
            options,
        )

    def list_all_plans(
        self, request: plans.ListPlansRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[plans.Plan]:
        """Every row of `list_plans` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_plans(page, **options),
            plans.ListPlansRequest() if request is None else request,
            lambda page: page.plans,
        )

    def compare_plans(
        self, request: plans.ComparePlansRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[plans.ComparePlansResponse]:
        """Puts all plans on offer side by side: price, every kind of limit, and what each adds to the next
        cheaper one of its family. Not paged."""
        return self._calls.unary(methods.PLANS_COMPARE_PLANS, request, plans.ComparePlansResponse, options)

    def get_plan(self, request: plans.GetPlanRequest, **options: Unpack[CallOptions]) -> UnaryCall[plans.Plan]:
        """Reads one plan."""
        return self._calls.unary(methods.PLANS_GET_PLAN, request, plans.Plan, options)

    def get_subscription(
        self, request: plans.GetSubscriptionRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[plans.Subscription]:
        """Reads what the caller's organization subscribes to: the plan in force, at the version subscribed
        to, and what is left of its limits."""
        return self._calls.unary(
            methods.PLANS_GET_SUBSCRIPTION,
            plans.GetSubscriptionRequest() if request is None else request,
            plans.Subscription,
            options,
        )

    def assign_plan(
        self, request: plans.AssignPlanRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[plans.Subscription]:
        """Puts an organization on a plan, offered or not, at its newest version. Platform administrators
        only. Works everywhere within a second; what was used of the day, hour and month stays used."""
        return self._calls.unary(methods.PLANS_ASSIGN_PLAN, request, plans.Subscription, options)
