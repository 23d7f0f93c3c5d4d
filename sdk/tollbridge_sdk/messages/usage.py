# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.usage.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.usage.v1 import (
    GetCurrentUsageRequest,
    GetCurrentUsageResponse,
    GetUsageStatsRequest,
    GetUsageStatsResponse,
    ListDailyUsageRequest,
    ListDailyUsageResponse,
    ListMonthlyUsageRequest,
    ListMonthlyUsageResponse,
    ListUsageEventsRequest,
    ListUsageEventsResponse,
    TokenCounts,
    UsageEvent,
    UsageGroup,
    UsagePeriod,
    UsageTotals,
)

__all__ = [
    "GetCurrentUsageRequest",
    "GetCurrentUsageResponse",
    "GetUsageStatsRequest",
    "GetUsageStatsResponse",
    "ListDailyUsageRequest",
    "ListDailyUsageResponse",
    "ListMonthlyUsageRequest",
    "ListMonthlyUsageResponse",
    "ListUsageEventsRequest",
    "ListUsageEventsResponse",
    "TokenCounts",
    "UsageEvent",
    "UsageGroup",
    "UsagePeriod",
    "UsageTotals",
]
