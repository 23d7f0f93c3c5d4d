# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.plans.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.plans.v1 import (
    GetPlanRequest,
    ListPlansRequest,
    ListPlansResponse,
    Plan,
    PlanLimits,
)

__all__ = [
    "GetPlanRequest",
    "ListPlansRequest",
    "ListPlansResponse",
    "Plan",
    "PlanLimits",
]
