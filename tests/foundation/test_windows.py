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
