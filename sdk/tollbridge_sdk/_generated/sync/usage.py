# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import Iterator
from typing import Any, Unpack

from tollbridge.usage.v1 import usage_pb2, usage_service_pb2, usage_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, Service, UnaryOptions, rows_of


class Usage(Service):
    """What the organization has used. Days and months begin in the organization's time zone."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = usage_service_pb2_grpc.UsageServiceStub(calls.channel)

    def get_current_usage(
        self, request: usage_service_pb2.GetCurrentUsageRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> usage_service_pb2.GetCurrentUsageResponse:
        """Usage of today and of this month, with the plan's limits beside."""
        return self._calls.unary(
            self._stub.GetCurrentUsage,
            methods.USAGE_GET_CURRENT_USAGE,
            usage_service_pb2.GetCurrentUsageRequest() if request is None else request,
            usage_service_pb2.GetCurrentUsageResponse,
            options,
        )

    def list_daily_usage(
        self, request: usage_service_pb2.ListDailyUsageRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> usage_service_pb2.ListDailyUsageResponse:
        """Usage a day, newest first, empty days included."""
        return self._calls.unary(
            self._stub.ListDailyUsage,
            methods.USAGE_LIST_DAILY_USAGE,
            usage_service_pb2.ListDailyUsageRequest() if request is None else request,
            usage_service_pb2.ListDailyUsageResponse,
            options,
        )

    def list_all_daily_usage(
        self, request: usage_service_pb2.ListDailyUsageRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[usage_pb2.UsagePeriod]:
        """Every row of `list_daily_usage` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_daily_usage(page, **options),
            usage_service_pb2.ListDailyUsageRequest() if request is None else request,
            lambda page: page.days,
        )

    def list_monthly_usage(
        self, request: usage_service_pb2.ListMonthlyUsageRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> usage_service_pb2.ListMonthlyUsageResponse:
        """Usage a month, newest first, empty months included. A month is the sum of its days."""
        return self._calls.unary(
            self._stub.ListMonthlyUsage,
            methods.USAGE_LIST_MONTHLY_USAGE,
            usage_service_pb2.ListMonthlyUsageRequest() if request is None else request,
            usage_service_pb2.ListMonthlyUsageResponse,
            options,
        )

    def list_all_monthly_usage(
        self, request: usage_service_pb2.ListMonthlyUsageRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[usage_pb2.UsagePeriod]:
        """Every row of `list_monthly_usage` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_monthly_usage(page, **options),
            usage_service_pb2.ListMonthlyUsageRequest() if request is None else request,
            lambda page: page.months,
        )

    def list_usage_events(
        self, request: usage_service_pb2.ListUsageEventsRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> usage_service_pb2.ListUsageEventsResponse:
        """Lists metered calls, newest first."""
        return self._calls.unary(
            self._stub.ListUsageEvents,
            methods.USAGE_LIST_USAGE_EVENTS,
            usage_service_pb2.ListUsageEventsRequest() if request is None else request,
            usage_service_pb2.ListUsageEventsResponse,
            options,
        )

    def list_all_usage_events(
        self, request: usage_service_pb2.ListUsageEventsRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[usage_pb2.UsageEvent]:
        """Every row of `list_usage_events` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_usage_events(page, **options),
            usage_service_pb2.ListUsageEventsRequest() if request is None else request,
            lambda page: page.events,
        )

    def get_usage_stats(
        self, request: usage_service_pb2.GetUsageStatsRequest, **options: Unpack[UnaryOptions]
    ) -> usage_service_pb2.GetUsageStatsResponse:
        """Sums over a span, in all and by model and key."""
        return self._calls.unary(
            self._stub.GetUsageStats,
            methods.USAGE_GET_USAGE_STATS,
            request,
            usage_service_pb2.GetUsageStatsResponse,
            options,
        )
