"""UsageService: what the caller's organization has used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from server.billing import spans
from server.foundation import ids
from server.foundation.windows import Span
from server.rpc import bounds_form
from server.rpc.context import CallContext
from server.rpc.errors import InvalidPageTokenError
from server.rpc.pagination import Page, Paginator
from server.storage.database import Database
from server.usage import events, totals
from server.usage.events import EventFilter
from server.usage.reports import UsageReports
from server.usage.totals import Period
from tollbridge.plans.v1.plan_pb2 import LimitStanding
from tollbridge.usage.v1 import usage_service_pb2 as pb

_DAYS: Final = (30, 366)
_MONTHS: Final = (12, 120)


class UsageService:
    """Serves tollbridge.usage.v1.UsageService."""

    NAME = "tollbridge.usage.v1.UsageService"

    def __init__(
        self,
        database: Database,
        paginator: Paginator,
        reports: UsageReports,
        catch_up: Callable[[], Awaitable[None]],
        standings: Callable[[UUID], Awaitable[Iterable[LimitStanding]]],
    ) -> None:
        """`catch_up` brings calls that ended in this process into the database; `standings` tells how the limits of an
        organization's plan stand."""
        self._catch_up = catch_up
        self._standings = standings
        self._database = database
        self._paginator = paginator
        self._reports = reports

    async def get_current_usage(
        self, _request: pb.GetCurrentUsageRequest, context: CallContext
    ) -> pb.GetCurrentUsageResponse:
        """Today and this month, with the plan's limits beside."""
        current = await self._reports.current(context.principal.org_id)
        return pb.GetCurrentUsageResponse(
            day=totals.period_to_proto(current.day),
            month=totals.period_to_proto(current.month),
            plan_id=current.plan_id,
            limits=bounds_form.to_proto(current.limits),
            requests_left_today=current.requests_left,
            tokens_left_today=current.tokens_left,
            time_zone=current.time_zone,
            standings=await self._standings(context.principal.org_id),
        )

    async def list_daily_usage(
        self, request: pb.ListDailyUsageRequest, context: CallContext
    ) -> pb.ListDailyUsageResponse:
        """Days, newest first. Raises `InvalidPageTokenError`."""
        page = self._paginator.open(context, request.page_size, request.page_token, (), *_DAYS)
        days, token = await self._periods(context, Span.DAY, page)
        return pb.ListDailyUsageResponse(days=[totals.period_to_proto(day) for day in days], next_page_token=token)

    async def list_monthly_usage(
        self, request: pb.ListMonthlyUsageRequest, context: CallContext
    ) -> pb.ListMonthlyUsageResponse:
        """Months, newest first. Raises `InvalidPageTokenError`."""
        page = self._paginator.open(context, request.page_size, request.page_token, (), *_MONTHS)
        months, token = await self._periods(context, Span.MONTH, page)
        return pb.ListMonthlyUsageResponse(
            months=[totals.period_to_proto(month) for month in months], next_page_token=token
        )

    async def list_usage_events(
        self, request: pb.ListUsageEventsRequest, context: CallContext
    ) -> pb.ListUsageEventsResponse:
        """Metered calls, newest first; none for a key that is unknown. Raises `InvalidPageTokenError`."""
        span, org_id = spans.of(request), context.principal.org_id
        bound_to = [*spans.filters(span), request.model, request.key_id]
        page = self._paginator.open(context, request.page_size, request.page_token, bound_to)
        key_id = ids.from_text(ids.KEY, request.key_id)
        if request.key_id and key_id is None:
            return pb.ListUsageEventsResponse()
        wanted = EventFilter(span, request.model, key_id)
        await self._catch_up()
        async with self._database.tenant(org_id) as transaction:
            rows = await events.load_page(transaction, org_id, wanted, _event_position(page), page.size + 1)
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListUsageEventsResponse(
            events=[events.to_proto(event) for event in shown],
            next_page_token=self._paginator.next_token(context, page, [shown[-1].id.hex]) if more else "",
        )

    async def get_usage_stats(self, request: pb.GetUsageStatsRequest, context: CallContext) -> pb.GetUsageStatsResponse:
        """Sums over a span, in all and by model and key. Raises `InvalidArgumentError`."""
        stats = await self._reports.stats(context.principal.org_id, spans.of(request))
        return pb.GetUsageStatsResponse(
            period=totals.period_to_proto(stats.period),
            models=[totals.group_to_proto(group) for group in stats.models],
            keys=[totals.group_to_proto(group) for group in stats.keys],
        )

    async def _periods(self, context: CallContext, span: Span, page: Page) -> tuple[list[Period], str]:
        org_id, before = context.principal.org_id, _period_position(page)
        periods, more = await self._reports.periods(org_id, span, before, page.size)
        after = [periods[-1].window.start.isoformat()]
        return periods, self._paginator.next_token(context, page, after) if more else ""


def _period_position(page: Page) -> datetime | None:
    if page.after is None:
        return None
    try:
        return datetime.fromisoformat(page.after[0])
    except (ValueError, IndexError) as error:
        raise InvalidPageTokenError from error


def _event_position(page: Page) -> UUID | None:
    if page.after is None:
        return None
    try:
        return UUID(page.after[0])
    except (ValueError, IndexError) as error:
        raise InvalidPageTokenError from error
