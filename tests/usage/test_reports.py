"""Days and months begin in the organization's own zone, and months are sums of days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from server.foundation import ids
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import ApiError, InvalidPageTokenError
from server.usage.reports import UsageReports
from server.usage.service import UsageService
from tests.billing.books import PAGINATOR, Books, context_of, nothing_waits
from tollbridge.plans.v1.plan_pb2 import LimitStanding
from tollbridge.usage.v1 import usage_service_pb2 as pb
from tollbridge.usage.v1.usage_pb2 import UsageEvent, UsagePeriod

PREFIX = "/tollbridge.usage.v1.UsageService/"


@pytest.fixture
def service(books: Books) -> UsageService:
    """The service as it is assembled."""
    reports = UsageReports(books.database, books.clock, nothing_waits)
    return UsageService(books.database, PAGINATOR, reports, nothing_waits, standings)


async def standings(_org_id: UUID) -> list[LimitStanding]:
    """What the limits' own capability tells."""
    return [LimitStanding(subject="plan", name="tokens_per_day", limit=1000, remaining=7)]


async def used(books: Books, org_id: UUID, time: str, tokens: int, key_id: UUID | None = None) -> UUID:
    """A call at that time. Its id is drawn then, too."""
    moment = datetime.fromisoformat(time)
    call_id = UUID(int=int(moment.timestamp() * 1000) << 80 | uuid7().int & ~(-1 << 80))
    _, hold = await books.hold(org_id, tokens, call_id)
    call = replace(books.call(org_id, call_id, TokenCounts(input=tokens)), create_time=moment, key_id=key_id)
    await books.meter.settle(hold, call)
    return call_id


async def all_days(service: UsageService, org_id: UUID, size: int) -> list[UsagePeriod]:
    """Every day, page by page."""
    days: list[UsagePeriod] = []
    token = ""
    while True:
        request = pb.ListDailyUsageRequest(page_size=size, page_token=token)
        page = await service.list_daily_usage(request, context_of(org_id, PREFIX + "ListDailyUsage"))
        days += page.days
        token = page.next_page_token
        if not token:
            return days


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("UTC", "2026-11-20T23:59:59.999999+00:00", "2026-11-21T00:00:00+00:00"),
        ("Asia/Kolkata", "2026-11-20T18:29:59+00:00", "2026-11-20T18:30:00+00:00"),
        ("Asia/Kathmandu", "2026-11-20T18:14:59+00:00", "2026-11-20T18:15:00+00:00"),
        ("America/St_Johns", "2026-11-21T03:29:59+00:00", "2026-11-21T03:30:00+00:00"),
        ("Pacific/Kiritimati", "2026-11-20T09:59:59+00:00", "2026-11-20T10:00:00+00:00"),
    ],
)
async def test_a_day_begins_at_midnight_of_the_organizations_zone(
    service: UsageService, books: Books, zone: str, before: str, after: str
) -> None:
    org_id = await books.organization(promo=1000, zone=zone, made="2026-11-19T12:00:00+00:00")
    await used(books, org_id, before, 1)
    await used(books, org_id, after, 10)
    books.clock.time = datetime.fromisoformat(after) + timedelta(minutes=1)

    current = await service.get_current_usage(pb.GetCurrentUsageRequest(), context_of(org_id))
    assert [(standing.name, standing.remaining) for standing in current.standings] == [("tokens_per_day", 7)]
    days = await all_days(service, org_id, 1)

    assert (current.day.totals.tokens.total, current.day.label, current.time_zone) == (10, "2026-11-21", zone)
    assert current.month.totals.tokens.total == 11
    totals = {day.label: day.totals.tokens.total for day in days}
    assert (totals["2026-11-21"], totals["2026-11-20"]) == (10, 1)


async def test_days_are_listed_to_the_first_one_and_add_up_to_their_months(service: UsageService, books: Books) -> None:
    org_id = await books.organization(promo=10_000, zone="Europe/Berlin", made="2026-08-30T22:30:00+00:00")
    times = ["2026-08-31T10:00", "2026-08-31T21:59", "2026-08-31T22:00"]
    times += ["2026-10-25T00:30", "2026-10-25T22:59", "2026-11-20T08:00"]
    for number, time in enumerate(times):
        await used(books, org_id, time + ":00+00:00", 2**number)
    books.clock.time = datetime(2026, 11, 21, 12, tzinfo=UTC)

    days = await all_days(service, org_id, 7)
    months = await service.list_monthly_usage(pb.ListMonthlyUsageRequest(), context_of(org_id))

    assert (days[0].label, days[-1].label, len(days)) == ("2026-11-21", "2026-08-31", 83)
    assert {day.label: day.totals.tokens.total for day in days if day.totals.requests} == {
        "2026-08-31": 3,
        "2026-09-01": 4,
        "2026-10-25": 24,
        "2026-11-20": 32,
    }
    assert [month.label for month in months.months] == ["2026-11", "2026-10", "2026-09", "2026-08"]
    for month in months.months:
        own = [day for day in days if day.label.startswith(month.label)]
        assert month.totals.tokens.total == sum(day.totals.tokens.total for day in own)
        assert month.start_time == own[-1].start_time or month.label == "2026-08"
        assert month.end_time == own[0].end_time or month.label == "2026-11"
    changed_clocks = next(day for day in days if day.label == "2026-10-25")
    assert changed_clocks.end_time.seconds - changed_clocks.start_time.seconds == 25 * 3600


async def test_pages_of_periods_are_bound_to_their_list(service: UsageService, books: Books) -> None:
    org_id = await books.organization(made="2026-01-01T00:00:00+00:00")
    context = context_of(org_id, PREFIX + "ListDailyUsage")
    page = await service.list_daily_usage(pb.ListDailyUsageRequest(), context)

    assert len(page.days) == 30
    months = pb.ListMonthlyUsageRequest(page_token=page.next_page_token)
    with pytest.raises(InvalidPageTokenError):
        await service.list_monthly_usage(months, context_of(org_id, PREFIX + "ListMonthlyUsage"))
    other = context_of(await books.organization(), PREFIX + "ListDailyUsage")
    with pytest.raises(InvalidPageTokenError):
        await service.list_daily_usage(pb.ListDailyUsageRequest(page_token=page.next_page_token), other)


async def test_what_is_left_today_comes_from_the_plan(service: UsageService, books: Books) -> None:
    org_id = await books.organization(promo=10_000, plan="baby-free")
    unlimited = await books.organization(plan="unlimited")
    await used(books, org_id, books.clock.now().isoformat(), 400)
    await used(books, org_id, books.clock.now().isoformat(), 700)

    current = await service.get_current_usage(pb.GetCurrentUsageRequest(), context_of(org_id))
    free = await service.get_current_usage(pb.GetCurrentUsageRequest(), context_of(unlimited))

    assert (current.plan_id, current.limits.tokens_per_day, current.limits.requests_per_day) == ("baby-free", 1000, 10)
    assert (current.requests_left_today, current.tokens_left_today) == (8, 0)
    assert not free.HasField("requests_left_today")
    assert not free.HasField("tokens_left_today")
    assert free.day.totals.requests == 0


async def test_the_history_pages_through_every_call_once(service: UsageService, books: Books) -> None:
    org_id, key_id = await books.organization(promo=10_000), uuid7()
    times = [f"2026-{month:02}-21T12:00:0{month % 10}+00:00" for month in (1, 6, 10, 11, 12)]
    made = [await used(books, org_id, time, 5, key_id if number % 2 else None) for number, time in enumerate(times)]
    context = context_of(org_id, PREFIX + "ListUsageEvents")

    async def listed(**filters: object) -> list[UsageEvent]:
        events: list[UsageEvent] = []
        token = ""
        while True:
            request = pb.ListUsageEventsRequest(page_size=2, page_token=token)
            for name, value in filters.items():
                if name.endswith("_time"):
                    getattr(request, name).FromJsonString(value)
                else:
                    setattr(request, name, value)
            page = await service.list_usage_events(request, context)
            events += page.events
            token = page.next_page_token
            if not token:
                return events

    everything = [ids.to_text(ids.USAGE_EVENT, call_id) for call_id in reversed(made)]
    assert [event.id for event in await listed()] == everything
    spanned = await listed(start_time="2026-06-21T12:00:06Z", end_time="2026-12-21T12:00:02Z")
    assert [event.id for event in spanned] == everything[1:4]
    assert [event.id for event in await listed(key_id=ids.to_text(ids.KEY, key_id))] == everything[1::2]
    assert [event.id for event in await listed(key_id="key_unknown")] == []
    assert [event.id for event in await listed(model="another")] == []
    assert [event.id for event in await listed(start_time="0001-01-01T00:00:00Z")] == everything
    first = (await listed())[0]
    assert (first.tokens.input, first.cost, first.currency, first.ending) == (5, "0.000000005", "USD", "complete")
    assert first.transaction_id.startswith("txn_")
    other = context_of(await books.organization(), PREFIX + "ListUsageEvents")
    assert list((await service.list_usage_events(pb.ListUsageEventsRequest(), other)).events) == []


async def test_stats_widen_the_span_to_whole_buckets(service: UsageService, books: Books) -> None:
    org_id, key_id = await books.organization(promo=10_000), uuid7()
    await used(books, org_id, "2026-11-21T09:59:59+00:00", 1)
    await used(books, org_id, "2026-11-21T10:01:00+00:00", 10, key_id)
    await used(books, org_id, "2026-11-21T10:14:00+00:00", 100)
    await used(books, org_id, "2026-11-21T10:15:00+00:00", 1000)
    request = pb.GetUsageStatsRequest()
    request.start_time.FromJsonString("2026-11-21T10:07:00Z")
    request.end_time.FromJsonString("2026-11-21T10:08:00Z")

    stats = await service.get_usage_stats(request, context_of(org_id))

    assert (stats.period.totals.tokens.total, stats.period.totals.requests) == (110, 2)
    assert stats.period.start_time.ToJsonString() == "2026-11-21T10:00:00Z"
    assert stats.period.end_time.ToJsonString() == "2026-11-21T10:15:00Z"
    assert [(group.name, group.totals.cost) for group in stats.models] == [("gpt-4o-mini", "0.00000011")]
    assert [(group.name, group.totals.requests) for group in stats.keys] == [("", 1), (ids.to_text(ids.KEY, key_id), 1)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-21T10:07:00Z", "2026-11-21T10:07:00Z"),
        (None, "0001-01-01T00:00:00Z"),
        ("2026-11-21T10:07:00Z", "9999-12-31T23:59:59Z"),
    ],
)
async def test_impossible_spans_name_their_field(
    service: UsageService, books: Books, start: str | None, end: str
) -> None:
    org_id = await books.organization()
    request = pb.GetUsageStatsRequest()
    if start is not None:
        request.start_time.FromJsonString(start)
    request.end_time.FromJsonString(end)

    with pytest.raises(ApiError, match=r"(start|end)_time: "):
        await service.get_usage_stats(request, context_of(org_id))
