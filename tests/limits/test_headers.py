"""Limits as headers, in OpenAI's words and in the IETF draft's."""

from __future__ import annotations

import pytest

from server.limits.errors import LimitExceededError
from server.limits.headers import duration, headers_of
from server.limits.limits import Limit, LimitState, Per, Scope, Unit

DAY = Limit(Scope.PLAN, Unit.REQUESTS, Per.DAY, 10)
HOUR = Limit(Scope.KEY, Unit.REQUESTS, Per.HOUR, 1000)
MONTH = Limit(Scope.PLAN, Unit.TOKENS, Per.MONTH, 5000)
SLOTS = Limit(Scope.PLAN, Unit.CONCURRENCY, None, 3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.012, "12ms"), (1, "1s"), (1.5, "1.5s"), (59.999, "59.999s"), (360, "6m0s"), (65_030, "18h3m50s")],
)
def test_spans_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_tightest_limit_of_each_unit_is_told() -> None:
    states = (
        LimitState(HOUR, 900, 60.0),
        LimitState(DAY, 4, 3600.2),
        LimitState(MONTH, 5000, 0.0),
        LimitState(SLOTS, 1, 0),
    )
    assert dict(headers_of(states)) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": "1h0m0s",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "5000",
        "x-ratelimit-reset-tokens": "0ms",
        "ratelimit-policy": '"requests_per_day";q=10;w=86400, "tokens_per_month";q=5000',
        "ratelimit": '"requests_per_day";r=4;t=3601, "tokens_per_month";r=5000;t=0',
    }
    assert headers_of([LimitState(SLOTS, 1, 0)]) == []


@pytest.mark.parametrize(("wait", "told"), [(60.0, False), (3600.0, True), (None, True)])
def test_who_would_come_too_early_is_told_not_to(wait: float | None, told: bool) -> None:
    state = LimitState(DAY, 0, 3600.0)
    refusal = LimitExceededError(state, (state,), 1, wait)
    assert (("x-should-retry", "false") in refusal.trailing_metadata) == told
    assert refusal.retry_after == wait
