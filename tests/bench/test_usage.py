"""The usage benchmark writes what calls would have written, and asks everything."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bench.accounts import make_idle_keys, make_keys, make_organizations
from bench.child import ProgramFailed
from bench.usage import fill
from bench.usage.fill import KEYS_EACH, Owners, check_disk, year_before
from bench.usage.measure import ROUNDS, UsageReport, ask_all
from bench.usage.questions import PAGES, Question, questions
from server.billing.checks import CHECKS
from server.foundation.ids import uuid7
from server.foundation.secrets import RootSecret
from server.storage.migrate import migrate
from tests.support.databases import LOGIN, TestDatabase

NOW = datetime(2026, 11, 21, 12, 34, 56, 789_012, tzinfo=UTC)
CONSISTENT = ("buckets are the sums of usage events", "half hours and days are the sums of buckets")


def test_every_call_falls_into_one_month() -> None:
    months = year_before(NOW, 1_000_003).months()

    assert (months[0].table, months[-1].table, len(months)) == ("usage_event_2025_11", "usage_event_2026_11", 13)
    assert (months[0].numbers[0], months[-1].numbers[1]) == (0, 1_000_003)
    for month, following in itertools.pairwise(months):
        assert month.numbers[1] == following.numbers[0]
        assert month.last == following.first


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    check_disk(tmp_path, 0)
    with pytest.raises(ProgramFailed, match="usage rows need"):
        check_disk(tmp_path, 10**15)


async def test_the_rows_are_as_right_as_if_calls_had_made_them(empty_database: TestDatabase, tmp_path: Path) -> None:
    await migrate(empty_database.owner_url, LOGIN, NOW)
    owner = await asyncpg.connect(empty_database.owner_url)
    try:
        organizations = await make_organizations(owner, 3, NOW - timedelta(days=365))
        keys = await make_keys(owner, RootSecret(b"x" * 32), organizations, 3, NOW)
        await make_idle_keys(owner, organizations, 7)
        owners = Owners(organizations, [uuid7() for _ in range(3 * KEYS_EACH + 1)])
        await fill.fill(empty_database.owner_url, tmp_path, owners, 5_000, NOW)

        assert await owner.fetchval("SELECT count(*) FROM usage_event") == 5_000
        assert await owner.fetchval("SELECT count(*) FROM usage_event WHERE org_id = $1", organizations[0]) == 2_500
        assert await owner.fetchval("SELECT count(*) FROM usage_event_default") == 0
        assert await owner.fetchval("SELECT count(*) FROM api_key") == 10
        assert len({key.secret for key in keys}) == 3
        promises = {check.promise: check.sql for check in CHECKS}
        for promise in CONSISTENT:
            assert await owner.fetch(promises[promise]) == []
    finally:
        await owner.close()


def test_every_question_is_asked_in_every_round_and_lists_page_by_page() -> None:
    asked: list[str] = []

    def ask(path: str) -> Any:
        asked.append(path)
        return {"next_page_token": "more&more"}

    answers = ask_all(ask, [Question("one", "/one"), Question("list", "/list?x=1", "items")], 10)

    assert [answered.title for answered in answers] == ["one", "list"]
    assert len(asked) == (ROUNDS + 1) * (1 + PAGES)
    assert asked[:4] == ["/one", "/list?x=1", "/list?x=1&page_token=more%26more", "/list?x=1&page_token=more%26more"]
    assert all(0 <= answered.p50 <= answered.p95 for answered in answers)
    report = UsageReport(10, 1.0, answers)
    assert report.slowest.p95 == max(answered.p95 for answered in answers)
    assert report.to_json()["rows"] == 10


def test_all_five_methods_are_asked() -> None:
    paths = {question.path.partition("?")[0] for question in questions(NOW, "key_a", "key_b", "key_c")}
    assert paths == {f"/v1/usage/{name}" for name in ("current", "daily", "monthly", "history", "stats")}
