# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.plans.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.plans.v1 import (
    AssignPlanRequest,
    ComparedLimit,
    ComparedPlan,
    ComparePlansRequest,
    ComparePlansResponse,
    GetPlanRequest,
    GetSubscriptionRequest,
    LimitStanding,
    LimitValue,
    ListPlansRequest,
    ListPlansResponse,
    Plan,
    PlanAddition,
    PlanLimits,
    Subscription,
)

__all__ = [
    "AssignPlanRequest",
    "ComparePlansRequest",
    "ComparePlansResponse",
    "ComparedLimit",
    "ComparedPlan",
    "GetPlanRequest",
    "GetSubscriptionRequest",
    "LimitStanding",
    "LimitValue",
    "ListPlansRequest",
    "ListPlansResponse",
    "Plan",
    "PlanAddition",
    "PlanLimits",
    "Subscription",
]
