"""Usage by day, month and span, in the organization's own calendar."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from server.billing.spans import Span
from server.foundation import ids, windows
from server.foundation.bounds import Bounds
from server.foundation.clock import Clock
from server.foundation.windows import BUCKET, Window
from server.organizations import store as organizations
from server.organizations.directory import found
from server.plans.store import get_current
from server.rpc.errors import InvalidArgumentError
from server.storage.database import Database, Transaction
from server.usage import store, totals
from server.usage.totals import Group, Period

_DEFAULT_SPAN: Final = timedelta(days=30)
_NOBODY: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Current:
    """Today and this month, beside the plan."""

    day: Period
    month: Period
    plan_id: str
    """Empty where no plan is in force."""
    limits: Bounds
    time_zone: str

    @property
    def requests_left(self) -> int | None:
        """Requests left today; None where the plan does not bound them."""
        return _left(self.limits.requests_per_day, self.day.totals.requests)

    @property
    def tokens_left(self) -> int | None:
        """Tokens left today; None where the plan does not bound them."""
        return _left(self.limits.tokens_per_day, self.day.totals.tokens.total)


@dataclass(frozen=True, slots=True)
class Stats:
    """Sums over a span, in all and by name, dearest first."""

    period: Period
    models: Sequence[Group]
    keys: Sequence[Group]


class UsageReports:
    """Reads usage of one organization at a time."""

    def __init__(self, database: Database, clock: Clock, catch_up: Callable[[], Awaitable[None]]) -> None:
        """`catch_up` brings calls that ended in this process into the database."""
        self._catch_up = catch_up
        self._database = database
        self._clock = clock

    async def current(self, org_id: UUID) -> Current:
        """Today and this month so far."""
        now = self._clock.now()
        await self._catch_up()
        async with self._database.tenant(org_id) as transaction:
            zone, _ = await _calendar(transaction, org_id)
            spans = [windows.window(span, now, zone) for span in (windows.Span.DAY, windows.Span.MONTH)]
            day, month = await _sums(transaction, org_id, spans)
            plan = await get_current(transaction, org_id)
        limits = Bounds() if plan is None else plan.limits
        return Current(day, month, "" if plan is None else plan.id, limits, zone.key)

    async def periods(
        self, org_id: UUID, span: windows.Span, before: datetime | None, limit: int
    ) -> tuple[list[Period], bool]:
        """At most `limit` days or months, newest first, from now or from the one that ends at `before`.

        Whether older ones follow is told beside; the last is the one in which the organization was made.
        """
        time = self._clock.now() if before is None else before - timedelta(microseconds=1)
        await self._catch_up()
        async with self._database.tenant(org_id) as transaction:
            zone, create_time = await _calendar(transaction, org_id)
            wanted, more = _back(windows.window(span, time, zone), span, zone, create_time, limit)
            return await _sums(transaction, org_id, wanted), more

    async def stats(self, org_id: UUID, span: Span) -> Stats:
        """Sums over the span, widened to whole buckets: absent end is now, absent start 30 days before the end.

        Raises `InvalidArgumentError` where the start is not before the end.
        """
        window = _stats_window(span, self._clock.now())
        await self._catch_up()
        async with self._database.tenant(org_id) as transaction:
            rows = await store.sum_groups(transaction, org_id, windows.parts(window, windows.DAY))
        whole = next(row for row in rows if row["model_id"] is None and row["key_id"] is None)
        return Stats(
            Period(window, totals.from_row(whole)),
            [Group(row["model_id"], totals.from_row(row)) for row in rows if row["model_id"] is not None],
            [Group(_key_name(row["key_id"]), totals.from_row(row)) for row in rows if row["key_id"] is not None],
        )


async def _calendar(transaction: Transaction, org_id: UUID) -> tuple[ZoneInfo, datetime]:
    organization = found(await organizations.get(transaction, org_id))
    return windows.zone(organization.time_zone), organization.create_time


async def _sums(transaction: Transaction, org_id: UUID, wanted: Sequence[Window]) -> list[Period]:
    rows = await store.sum_windows(transaction, org_id, [windows.parts(window, windows.HALF_HOUR) for window in wanted])
    return [Period(window, totals.from_row(row)) for window, row in zip(wanted, rows, strict=True)]


def _back(
    newest: Window, span: windows.Span, zone: ZoneInfo, create_time: datetime, limit: int
) -> tuple[list[Window], bool]:
    """Windows from the newest backwards, at most `limit`, none that ends before the organization was made."""
    found_windows, current = [newest], newest
    while current.start > create_time:
        if len(found_windows) == limit:
            return found_windows, True
        current = windows.before(span, current, zone)
        found_windows.append(current)
    return found_windows, False


def _stats_window(span: Span, now: datetime) -> Window:
    end = span[1] or now
    try:
        start = span[0] or end - _DEFAULT_SPAN
        first, last = windows.bucket_start(start), windows.bucket_start(end)
        whole = last if last == end else last + BUCKET
    except OverflowError as error:
        raise InvalidArgumentError.of("end_time", "must not touch the ends of time") from error
    if start >= end:
        raise InvalidArgumentError.of("start_time", "must be before end_time")
    return Window(first, whole, "")


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


def _key_name(key_id: UUID) -> str:
    return "" if key_id == _NOBODY else ids.to_text(ids.KEY, key_id)
