"""Days and months begin where the organization's calendar says, also when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.foundation.windows import BUCKET, Span, UnknownZoneError, before, bucket_start, window, zone

# 2020 to 2035, in seconds.
TIMES = st.integers(1_577_836_800, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"]


@pytest.mark.parametrize(
    ("name", "date", "hours"),
    [
        ("America/New_York", datetime(2026, 3, 8, 12, tzinfo=UTC), 23),
        ("America/New_York", datetime(2026, 11, 1, 12, tzinfo=UTC), 25),
        ("Asia/Kolkata", datetime(2026, 11, 1, 12, tzinfo=UTC), 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(name: str, date: datetime, hours: int) -> None:
    day = window(Span.DAY, date, zone(name))
    assert day.end - day.start == timedelta(hours=hours)


def test_kolkata_begins_its_day_at_half_past_six_utc() -> None:
    day = window(Span.DAY, datetime(2026, 11, 21, 19, 0, tzinfo=UTC), zone("Asia/Kolkata"))
    assert day.start == datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
    assert day.label == "2026-11-22"


@given(TIMES, st.sampled_from(ZONES), st.sampled_from(list(Span)))
def test_windows_hold_their_time_and_join(time: datetime, name: str, span: Span) -> None:
    place = zone(name)
    here = window(span, time, place)
    assert here.start <= time < here.end
    assert before(span, here, place).end == here.start
    assert window(span, here.end, place).start == here.end
    assert bucket_start(here.start) == here.start


@given(TIMES)
def test_a_bucket_holds_its_time(time: datetime) -> None:
    assert bucket_start(time) <= time < bucket_start(time) + BUCKET


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "Asia"])
def test_unknown_zones_are_named(name: str) -> None:
    with pytest.raises(UnknownZoneError):
        zone(name)


@pytest.mark.parametrize(
    ("name", "time", "start", "end"),
    [
        ("UTC", "2026-11-21T12:59:59", "2026-11-21T12:00", "2026-11-21T13:00"),
        ("Asia/Kolkata", "2026-11-21T12:29:59", "2026-11-21T11:30", "2026-11-21T12:30"),
        ("Asia/Kathmandu", "2026-11-21T12:15:00", "2026-11-21T12:15", "2026-11-21T13:15"),
        # The hour that New York lives twice is two hours.
        ("America/New_York", "2026-11-01T05:59:59", "2026-11-01T05:00", "2026-11-01T06:00"),
        ("America/New_York", "2026-11-01T06:00:00", "2026-11-01T06:00", "2026-11-01T07:00"),
        ("America/New_York", "2026-03-08T07:30:00", "2026-03-08T07:00", "2026-03-08T08:00"),
        # Lord Howe's clock goes back from 2:00 to 1:30 and forward from 2:00 to 2:30.
        ("Australia/Lord_Howe", "2026-04-04T14:45:00", "2026-04-04T14:00", "2026-04-04T15:00"),
        ("Australia/Lord_Howe", "2026-04-04T15:10:00", "2026-04-04T15:00", "2026-04-04T15:30"),
        ("Australia/Lord_Howe", "2026-10-03T15:40:00", "2026-10-03T15:30", "2026-10-03T16:00"),
    ],
)
def test_an_hour_is_the_zones_and_hours_leave_no_gap(name: str, time: str, start: str, end: str) -> None:
    hour = window(Span.HOUR, datetime.fromisoformat(f"{time}+00:00"), zone(name))
    assert (hour.start, hour.end) == (datetime.fromisoformat(f"{start}+00:00"), datetime.fromisoformat(f"{end}+00:00"))
    assert window(Span.HOUR, hour.end, zone(name)).start == hour.end
    assert before(Span.HOUR, hour, zone(name)).end == hour.start
