# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.plans.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.plans.v1 import (
    ComparedLimit,
    ComparedPlan,
    ComparePlansRequest,
    ComparePlansResponse,
    GetPlanRequest,
    GetSubscriptionRequest,
    LimitValue,
    ListPlansRequest,
    ListPlansResponse,
    Plan,
    PlanAddition,
    PlanLimits,
    Subscription,
)

__all__ = [
    "ComparePlansRequest",
    "ComparePlansResponse",
    "ComparedLimit",
    "ComparedPlan",
    "GetPlanRequest",
    "GetSubscriptionRequest",
    "LimitValue",
    "ListPlansRequest",
    "ListPlansResponse",
    "Plan",
    "PlanAddition",
    "PlanLimits",
    "Subscription",
]
