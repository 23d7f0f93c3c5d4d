"""The one place that knows where a day, a month or a bucket begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

BUCKET: Final = timedelta(minutes=15)
"""Length of a usage bucket. Every zone's offset is a multiple of it, so a day is a whole number of buckets."""


HALF_HOUR: Final = timedelta(minutes=30)
DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Span(StrEnum):
    """Kinds of calendar windows."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class UnknownZoneError(ValueError):
    """No such IANA time zone."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, `start <= t < end`, in UTC."""

    start: datetime
    end: datetime
    label: str
    """As the calendar names it: "2026-11-21T23", "2026-11-21" or "2026-11"."""


def zone(name: str) -> ZoneInfo:
    """The IANA zone. Raises `UnknownZoneError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZoneError(name) from error


def window(span: Span, time: datetime, in_zone: ZoneInfo) -> Window:
    """The hour, day or month of the zone's calendar that holds `time`. A day may have 23 or 25 hours."""
    if span is Span.HOUR:
        return _hour(time.astimezone(UTC), in_zone)
    local = time.astimezone(in_zone)
    first = datetime(local.year, local.month, local.day if span is Span.DAY else 1, tzinfo=in_zone)
    following = _next_date(first, span)
    label = first.strftime("%Y-%m-%d" if span is Span.DAY else "%Y-%m")
    return Window(first.astimezone(UTC), following.astimezone(UTC), label)


def before(span: Span, window_after: Window, in_zone: ZoneInfo) -> Window:
    """The window that ends where this one starts."""
    return window(span, window_after.start - timedelta(microseconds=1), in_zone)


def bucket_start(time: datetime) -> datetime:
    """Start of the UTC bucket that holds `time`."""
    return time - timedelta(minutes=time.minute % 15, seconds=time.second, microseconds=time.microsecond)


def _hour(time: datetime, in_zone: ZoneInfo) -> Window:
    """From full hour to full hour by the zone's clock. Where that is put forward or back, another hour begins."""
    start = bucket_start(time)
    offset = start.astimezone(in_zone).utcoffset()
    while start.astimezone(in_zone).minute and (start - BUCKET).astimezone(in_zone).utcoffset() == offset:
        start -= BUCKET
    end = start + BUCKET
    while end.astimezone(in_zone).minute and end.astimezone(in_zone).utcoffset() == offset:
        end += BUCKET
    return Window(start, end, start.astimezone(in_zone).strftime("%Y-%m-%dT%H"))


@dataclass(frozen=True, slots=True)
class Parts:
    """A window cut into whole units and what is left of it at both ends."""

    start: datetime
    first_whole: datetime
    last_whole: datetime
    """Exclusive; `first_whole` where there is no whole unit."""
    end: datetime

    @property
    def edges(self) -> tuple[datetime, datetime, datetime, datetime]:
        """All four, in order."""
        return self.start, self.first_whole, self.last_whole, self.end


def parts(window: Window, unit: timedelta) -> Parts:
    """The window cut at whole half hours or days in UTC."""
    first = window.start + (_EPOCH - window.start) % unit
    last = window.end - (window.end - _EPOCH) % unit
    if first >= last:
        return Parts(window.start, window.end, window.end, window.end)
    return Parts(window.start, first, last, window.end)


def _next_date(first: datetime, span: Span) -> datetime:
    if span is Span.DAY:
        date = first.date() + timedelta(days=1)
        return datetime(date.year, date.month, date.day, tzinfo=first.tzinfo)
    return datetime(first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=first.tzinfo)
