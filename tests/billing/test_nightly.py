"""The books are checked once a night, whoever does it, and everybody sees what was found."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from server.billing.nightly import NightlyVerify, last_run, night_of
from server.billing.verify import Report, verify
from server.storage.database import Database
from tests.billing.books import Books

EVENING = datetime(2031, 5, 1, 20, 0, tzinfo=UTC)
NIGHT = datetime(2031, 5, 2, 3, 0, tzinfo=UTC)


class Counted:
    """Counts runs of the real check."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, database: Database, seconds: float) -> Report:
        self.runs += 1
        return await verify(database, seconds)


@pytest.mark.parametrize(
    ("now", "night"),
    [("2031-05-02T02:59:59+00:00", 1), ("2031-05-02T03:00:00+00:00", 2), ("2031-05-02T08:29:00+05:30", 1)],
)
def test_a_night_begins_at_three(now: str, night: int) -> None:
    assert night_of(datetime.fromisoformat(now)).day == night


async def test_each_night_is_checked_once_and_missed_ones_are_made_up_for_once(books: Books) -> None:
    check = Counted()
    processes = [NightlyVerify(books.database, books.clock, check) for _ in range(3)]

    async def all_look(time: datetime) -> int:
        books.clock.time = time
        for _ in range(2):
            await asyncio.gather(*(process.look() for process in processes))
        return check.runs

    assert await all_look(EVENING) == 1, "the night that nobody was there for"
    assert await all_look(NIGHT - timedelta(seconds=1)) == 1
    assert await all_look(NIGHT) == 2
    assert await all_look(NIGHT + timedelta(hours=23)) == 2
    assert await all_look(NIGHT + timedelta(days=9, hours=4)) == 3, "once for all nights that were missed"


async def test_what_a_night_found_is_kept_logged_and_shown(books: Books) -> None:
    await books.organization(promo=100)
    nightly = NightlyVerify(books.database, books.clock)
    books.clock.time = EVENING
    assert await last_run(books.database) is None
    await nightly.look()
    assert REGISTRY.get_sample_value("tollbridge_verify_ok") == 1
    await books.owner.execute("UPDATE ledger_account SET credits_posted = credits_posted + 1 WHERE code = 'wallet'")
    books.clock.time = NIGHT
    with capture_logs() as logs:
        await nightly.look()
    assert REGISTRY.get_sample_value("tollbridge_verify_ok") == 0
    assert REGISTRY.get_sample_value("tollbridge_verify_time_seconds") == NIGHT.timestamp()
    run = await last_run(books.database)
    assert run is not None
    assert (run.night, run.ok, run.end_time) == (NIGHT.date(), False, NIGHT)
    first = next(line for line in run.lines if line.startswith("WRONG"))
    assert "debits equal credits" in first
    assert [(entry["log_level"], entry["first"]) for entry in logs if entry["event"] == "books_wrong"] == [
        ("error", first)
    ]


async def test_a_night_whose_process_died_is_begun_again(books: Books) -> None:
    async def die(_database: Database, _seconds: float) -> Report:
        raise asyncio.CancelledError

    check = Counted()
    books.clock.time = NIGHT
    with pytest.raises(asyncio.CancelledError):
        await NightlyVerify(books.database, books.clock, die).look()
    other = NightlyVerify(books.database, books.clock, check)
    await other.look()
    assert check.runs == 0, "it may still run"
    books.clock.time = NIGHT + timedelta(hours=6, seconds=1)
    await other.look()
    assert check.runs == 1
    await other.look()
    assert check.runs == 1


async def test_a_check_that_takes_too_long_is_not_called_right(books: Books) -> None:
    async with books.owner.transaction():
        await books.owner.execute("LOCK TABLE usage_bucket IN ACCESS EXCLUSIVE MODE")
        report = await verify(books.database, 0.2)
    assert not report.ok
    assert "took longer" in (report.first_difference or "")
    await books.assert_right()
