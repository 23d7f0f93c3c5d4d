# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.plans.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.plans.v1 import (
    GetPlanRequest,
    GetSubscriptionRequest,
    ListPlansRequest,
    ListPlansResponse,
    Plan,
    PlanLimits,
    Subscription,
)

__all__ = [
    "GetPlanRequest",
    "GetSubscriptionRequest",
    "ListPlansRequest",
    "ListPlansResponse",
    "Plan",
    "PlanLimits",
    "Subscription",
]
