# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import Iterator
from typing import Any, Unpack

from tollbridge.plans.v1 import plan_pb2, plan_service_pb2, plan_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, UnaryOptions, rows_of


class Plans(Service):
    """Plans on offer."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = plan_service_pb2_grpc.PlanServiceStub(calls.channel)

    def list_plans(
        self, request: plan_service_pb2.ListPlansRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> plan_service_pb2.ListPlansResponse:
        """Lists the plans on offer, by family and price, cheapest first."""
        return self._calls.unary(
            self._stub.ListPlans,
            methods.PLANS_LIST_PLANS,
            plan_service_pb2.ListPlansRequest() if request is None else request,
            plan_service_pb2.ListPlansResponse,
            options,
        )

    def list_all_plans(
        self, request: plan_service_pb2.ListPlansRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[plan_pb2.Plan]:
        """Every row of `list_plans` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_plans(page, **options),
            plan_service_pb2.ListPlansRequest() if request is None else request,
            lambda page: page.plans,
        )

    def compare_plans(
        self, request: plan_service_pb2.ComparePlansRequest, **options: Unpack[UnaryOptions]
    ) -> plan_service_pb2.ComparePlansResponse:
        """Puts all plans on offer side by side: price, every kind of limit, and what each adds to the next
        cheaper one of its family. Not paged."""
        return self._calls.unary(
            self._stub.ComparePlans,
            methods.PLANS_COMPARE_PLANS,
            request,
            plan_service_pb2.ComparePlansResponse,
            options,
        )

    def get_plan(self, request: plan_service_pb2.GetPlanRequest, **options: Unpack[UnaryOptions]) -> plan_pb2.Plan:
        """Reads one plan."""
        return self._calls.unary(self._stub.GetPlan, methods.PLANS_GET_PLAN, request, plan_pb2.Plan, options)

    def get_subscription(
        self, request: plan_service_pb2.GetSubscriptionRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> plan_pb2.Subscription:
        """Reads what the caller's organization subscribes to: the plan in force, at the version subscribed
        to, and what is left of its limits."""
        return self._calls.unary(
            self._stub.GetSubscription,
            methods.PLANS_GET_SUBSCRIPTION,
            plan_service_pb2.GetSubscriptionRequest() if request is None else request,
            plan_pb2.Subscription,
            options,
        )

    def assign_plan(
        self, request: plan_service_pb2.AssignPlanRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> plan_pb2.Subscription:
        """Puts an organization on a plan, offered or not, at its newest version. Platform administrators
        only. Works everywhere within a second; what was used of the day, hour and month stays used."""
        return self._calls.unary(
            self._stub.AssignPlan, methods.PLANS_ASSIGN_PLAN, request, plan_pb2.Subscription, options
        )
