# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import AsyncIterator
from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall, rows_of
from tollbridge_sdk.messages import usage
from tollbridge_sdk.options import CallOptions


class AsyncUsage(AsyncService):
    """What the organization has used. Days and months begin in the organization's time zone."""

    def get_current_usage(
        self, request: usage.GetCurrentUsageRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[usage.GetCurrentUsageResponse]:
        """Usage of today and of this month, with the plan's limits beside."""
        return self._calls.unary(
            methods.USAGE_GET_CURRENT_USAGE,
            usage.GetCurrentUsageRequest() if request is None else request,
            usage.GetCurrentUsageResponse,
            options,
        )

    def list_daily_usage(
        self, request: usage.ListDailyUsageRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[usage.ListDailyUsageResponse]:
        """Usage a day, newest first, empty days included."""
        return self._calls.unary(
            methods.USAGE_LIST_DAILY_USAGE,
            usage.ListDailyUsageRequest() if request is None else request,
            usage.ListDailyUsageResponse,
            options,
        )

    def list_all_daily_usage(
        self, request: usage.ListDailyUsageRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[usage.UsagePeriod]:
        """Every row of `list_daily_usage` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_daily_usage(page, **options),
            usage.ListDailyUsageRequest() if request is None else request,
            lambda page: page.days,
        )

    def list_monthly_usage(
        self, request: usage.ListMonthlyUsageRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[usage.ListMonthlyUsageResponse]:
        """Usage a month, newest first, empty months included. A month is the sum of its days."""
        return self._calls.unary(
            methods.USAGE_LIST_MONTHLY_USAGE,
            usage.ListMonthlyUsageRequest() if request is None else request,
            usage.ListMonthlyUsageResponse,
            options,
        )

    def list_all_monthly_usage(
        self, request: usage.ListMonthlyUsageRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[usage.UsagePeriod]:
        """Every row of `list_monthly_usage` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_monthly_usage(page, **options),
            usage.ListMonthlyUsageRequest() if request is None else request,
            lambda page: page.months,
        )

    def list_usage_events(
        self, request: usage.ListUsageEventsRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[usage.ListUsageEventsResponse]:
        """Lists metered calls, newest first."""
        return self._calls.unary(
            methods.USAGE_LIST_USAGE_EVENTS,
            usage.ListUsageEventsRequest() if request is None else request,
            usage.ListUsageEventsResponse,
            options,
        )

    def list_all_usage_events(
        self, request: usage.ListUsageEventsRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[usage.UsageEvent]:
        """Every row of `list_usage_events` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_usage_events(page, **options),
            usage.ListUsageEventsRequest() if request is None else request,
            lambda page: page.events,
        )

    def get_usage_stats(
        self, request: usage.GetUsageStatsRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[usage.GetUsageStatsResponse]:
        """Sums over a span, in all and by model and key."""
        return self._calls.unary(methods.USAGE_GET_USAGE_STATS, request, usage.GetUsageStatsResponse, options)
