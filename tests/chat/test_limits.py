"""What a plan, an organization, a person, a key or a model may use: to the last call and the last token."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from server.billing.errors import BalanceInsufficientError
from server.chat.errors import ProviderError
from server.foundation.bounds import NAMES, Bounds
from server.limits.errors import LimitExceededError
from server.limits.limits import Limit, Per, Scope, Unit
from server.limits.naming import limits_of, name_of
from server.rpc.context import CallContext
from server.rpc.errors import UnavailableError
from tests.chat.workbench import MODEL, ModelRow, Workbench, ask, open_workbench
from tests.support.databases import TestDatabase
from tests.support.provider_double import Ending, ProviderDouble, Script

UTC_ZONE: Final = ZoneInfo("UTC")
PLANS: Final = {
    "free": Bounds(requests_per_minute=100, requests_per_hour=1000),
    "pro": Bounds(requests_per_hour=10_000),
    "baby-free": Bounds(requests_per_day=10, tokens_per_day=1000),
    "leveler": Bounds(requests_per_day=100, tokens_per_day=5000),
    "log-min": Bounds(requests_per_day=500, tokens_per_day=20_000),
    "high-max": Bounds(requests_per_day=2000, tokens_per_day=100_000),
}
"""Every seeded plan that has limits, as documented."""
LIMITS: Final = [(plan, limit) for plan, bounds in PLANS.items() for limit in limits_of(bounds, Scope.PLAN)]

Open = Any
"""Opens a workbench on a plan."""


@pytest.fixture
def on_plan(database: TestDatabase, provider: ProviderDouble, valkey_url: str) -> Open:
    """`async with on_plan("baby-free") as bench`: its organization is on the plan, with 10 dollars and one model."""

    @asynccontextmanager
    async def opened(plan: str) -> AsyncIterator[Workbench]:
        async with open_workbench(database, plan=plan, valkey_url=valkey_url) as bench:
            await bench.add_model(ModelRow(), provider.url)
            yield bench

    return opened


async def use_up(bench: Workbench, limit: Limit, left: int, zone: ZoneInfo = UTC_ZONE) -> None:
    """Leaves so much of a limit."""
    gate = bench.limiter.gate(bench.org_id, zone, [limit])
    (state,) = await gate.look()
    if limit.unit is Unit.TOKENS:
        admission = await gate.admit(state.remaining - left)
        admission.settle(state.remaining - left)
        return
    for _ in range(state.remaining - left):
        (gate.take() or await gate.admit()).release()


async def remaining(bench: Workbench, limit: Limit) -> int:
    """What is left of a limit, over all processes."""
    (state,) = await bench.limiter.gate(bench.org_id, UTC_ZONE, [limit]).look()
    return state.remaining


async def refused(bench: Workbench, **more: object) -> tuple[LimitExceededError, CallContext]:
    """A call that a limit refuses."""
    context = bench.context()
    with pytest.raises(LimitExceededError) as caught:
        await bench.chat(ask(**more), context)
    return caught.value, context


def test_every_plan_with_limits_is_tried() -> None:
    assert {name_of(limit) for _, limit in LIMITS} == {
        "requests_per_minute",
        "requests_per_hour",
        "requests_per_day",
        "tokens_per_day",
    }


async def needed(bench: Workbench, **more: object) -> int:
    """The fewest tokens that a call needs: its prompt as counted, and the shortest answer that is worth it."""
    context = bench.context()
    assert context.caller is not None
    context.caller = dataclasses.replace(context.caller, limits=Bounds(tokens_per_day=0))
    with pytest.raises(LimitExceededError) as caught:
        await bench.chat(ask(**more), context)
    assert caught.value.retry_after is None, "never"
    return caught.value.asked


@pytest.mark.parametrize(("plan", "limit"), LIMITS, ids=[f"{plan}-{name_of(limit)}" for plan, limit in LIMITS])
@pytest.mark.parametrize("short", [0, 1])
async def test_a_plan_lets_exactly_so_much_through(
    on_plan: Open, provider: ProviderDouble, plan: str, limit: Limit, short: int
) -> None:
    async with on_plan(plan) as bench:
        row = await bench.owner.fetchrow("SELECT * FROM plan_version WHERE plan_id = $1", plan)
        assert row is not None
        assert Bounds(**{name: row[name] for name in NAMES}) == PLANS[plan]
        one_call = 1 if limit.unit is Unit.REQUESTS else await needed(bench, max_tokens=16)
        await use_up(bench, limit, one_call - short)
        begin = time.monotonic()
        provider.when(MODEL, Script(tokens=16, prompt_tokens=max(one_call - 16, 1)))
        admitted = 0
        while (refusal := await refused_or_none(bench, max_tokens=16)) is None:
            admitted += 1
        # A limit of a minute flows back all the time, so what came back meanwhile is let through as well.
        flowed = int((time.monotonic() - begin) * limit.allowance / 60) + 2 if limit.per is Per.MINUTE else 0
        assert 1 - short <= admitted <= 1 - short + flowed
        assert refusal.state.limit == limit
        assert refusal.retry_after is not None
        assert 0 < refusal.retry_after <= 86_400
        assert len(await bench.events()) == admitted
        if not flowed:
            assert await remaining(bench, limit) == (one_call - 1 if short else 0)


async def refused_or_none(bench: Workbench, **more: object) -> LimitExceededError | None:
    """What a limit says to a call; None where it lets it through."""
    try:
        await bench.chat(ask(**more))
    except LimitExceededError as error:
        return error
    return None


async def test_calls_that_a_plan_includes_cost_nothing_and_are_cut_at_its_tokens(
    on_plan: Open, provider: ProviderDouble
) -> None:
    async with on_plan("baby-free") as bench:
        provider.next(Script(tokens=5000, ignores_maximum=True))
        answer = await bench.chat(ask(stream=True))
        clamped = int(answer.headers["x-tollbridge-max-tokens-clamped"])
        assert 900 < clamped < 1000
        assert answer.outcome.max_tokens_clamped == clamped
        assert answer.outcome.plan_id == "baby-free"
        assert json.loads(provider.requests[-1].body)["max_completion_tokens"] == clamped
        assert answer.chunks[-1]["choices"][0]["finish_reason"] == "length"
        event = await bench.event()
        assert (event.cost, event.excess) == (0, 0)
        assert await bench.spent() == 0
        error, _ = await refused(bench)
        assert error.state.limit.unit is Unit.TOKENS


async def test_a_call_takes_its_worst_case_and_gives_back_what_it_did_not_use(
    on_plan: Open, provider: ProviderDouble
) -> None:
    tokens = limits_of(PLANS["leveler"], Scope.PLAN)[1]
    async with on_plan("leveler") as bench:
        provider.next(Script(tokens=30, prompt_tokens=10, interval=0.01))
        context = bench.context()
        stream = bench.start(ask(stream=True, max_tokens=1000), context)
        await anext(stream)
        headers = dict(context.initial_metadata)
        assert headers["x-ratelimit-limit-tokens"] == "5000"
        assert 3800 < int(headers["x-ratelimit-remaining-tokens"]) < 4000
        assert [message async for message in stream]
        assert await remaining(bench, tokens) == 4960


async def test_what_money_refuses_gives_the_limits_back(on_plan: Open) -> None:
    hour = limits_of(PLANS["pro"], Scope.PLAN)[0]
    async with on_plan("pro") as bench:
        await bench.owner.execute("UPDATE ledger_account SET debits_posted = credits_posted WHERE code = 'wallet'")
        for _ in range(3):
            with pytest.raises(BalanceInsufficientError):
                await bench.chat(ask())
        assert await remaining(bench, hour) == 10_000


async def test_limits_refuse_before_money_is_looked_at(on_plan: Open) -> None:
    async with on_plan("pro") as bench:
        await use_up(bench, limits_of(PLANS["pro"], Scope.PLAN)[0], 0)
        await bench.owner.execute("UPDATE ledger_account SET debits_posted = credits_posted WHERE code = 'wallet'")
        await refused(bench)


async def test_a_failed_call_counts_and_gives_its_tokens_back(on_plan: Open, provider: ProviderDouble) -> None:
    requests, tokens = limits_of(PLANS["leveler"], Scope.PLAN)
    async with on_plan("leveler") as bench:
        provider.next(Script(ending=Ending.RESET, tokens=0))
        with pytest.raises(ProviderError):
            await bench.chat(ask(stream=True))
        await bench.settled()
        assert await remaining(bench, requests) == 99
        assert await remaining(bench, tokens) == 5000


@pytest.mark.parametrize(
    ("subject", "by_key"),
    [("organization", True), ("user", False), ("user", True), ("model", True), ("model", False), ("key", True)],
)
async def test_each_subject_has_limits_of_its_own(on_plan: Open, subject: str, by_key: bool) -> None:
    """Calls of a key count for the person who made it."""
    person = uuid4()
    bounds = Bounds(requests_per_day=2)
    async with on_plan("unlimited") as bench:
        bench.principal = dataclasses.replace(
            bench.principal,
            key_id=uuid4() if by_key else None,
            user_id=None if by_key else person,
            maker_user_id=person if by_key else None,
            limits=bounds if subject == "key" else Bounds(),
        )
        names = {"organization": "", "user": str(person), "model": MODEL}
        if subject in names:
            await bench.owner.execute(
                "INSERT INTO limit_rule (org_id, kind, subject, limits, update_time) VALUES ($1, $2, $3, $4, now())",
                *(bench.org_id, subject, names[subject], bounds.to_text()),
            )
        answers = [await bench.chat(ask()) for _ in range(2)]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0"]
        error, _ = await refused(bench)
        assert error.state.limit.scope is Scope(subject)
        # Another person, model or key is not bounded by it.
        other = dataclasses.replace(bench.principal, key_id=uuid4(), user_id=None, maker_user_id=None, limits=Bounds())
        bench.principal = other
        if subject in {"user", "key"}:
            await bench.chat(ask())
        elif subject == "organization":
            await refused(bench)


async def test_calls_at_once_are_bounded_and_free_when_they_end(on_plan: Open, provider: ProviderDouble) -> None:
    async with on_plan("unlimited") as bench:
        bench.principal = dataclasses.replace(bench.principal, limits=Bounds(concurrency=2))
        provider.when(MODEL, Script(tokens=3, interval=0.05))
        streams = [bench.start(ask(stream=True), bench.context()) for _ in range(2)]
        for stream in streams:
            await anext(stream)
        error, _ = await refused(bench)
        assert error.state.limit.unit is Unit.CONCURRENCY
        for stream in streams:
            assert [message async for message in stream]
        await bench.chat(ask())


async def test_fifty_at_once_get_exactly_what_there_is(on_plan: Open, provider: ProviderDouble) -> None:
    async with on_plan("baby-free") as bench:
        provider.when(MODEL, Script(tokens=2, prompt_tokens=9))
        calls = (bench.chat(ask(max_tokens=2)) for _ in range(50))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(result, BaseException) for result in results) == 10
        assert {type(result) for result in results if isinstance(result, BaseException)} == {LimitExceededError}
        assert len(await bench.events()) == 10


MIDNIGHTS: Final = [
    ("Asia/Kolkata", "2026-03-08T18:30:00+00:00"),
    ("Asia/Kathmandu", "2026-03-08T18:15:00+00:00"),
    ("America/New_York", "2026-03-08T05:00:00+00:00"),
    ("America/New_York", "2026-03-09T04:00:00+00:00"),
    ("America/New_York", "2026-11-01T04:00:00+00:00"),
    ("America/New_York", "2026-11-02T05:00:00+00:00"),
]
"""Where a day begins; New York's days around both changes of the clock."""


@pytest.mark.parametrize(("zone", "midnight"), MIDNIGHTS)
async def test_a_day_ends_at_midnight_of_the_organizations_zone(on_plan: Open, zone: str, midnight: str) -> None:
    async with on_plan("baby-free") as bench:
        await bench.owner.execute("UPDATE organization SET time_zone = $2 WHERE id = $1", bench.org_id, zone)
        go_to(bench, midnight, -30)
        await use_up(bench, limits_of(PLANS["baby-free"], Scope.PLAN)[0], 1, ZoneInfo(zone))
        await bench.chat(ask(max_tokens=8))
        error, _ = await refused(bench, max_tokens=8)
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 30
        go_to(bench, midnight, 5)
        answer = await bench.chat(ask(max_tokens=8))
        assert answer.headers["x-ratelimit-remaining-requests"] == "9"


def go_to(bench: Workbench, moment: str, seconds: float) -> None:
    """Valkey's time is so many seconds after the moment; it goes on from there."""
    wanted = datetime.fromisoformat(moment) + timedelta(seconds=seconds)
    bench.limiter.script.offset_ms = round((wanted.timestamp() - time.time()) * 1000)


async def test_headers_tell_the_tightest_limit_in_both_forms(on_plan: Open) -> None:
    async with on_plan("free") as bench:
        headers = {name: str(value) for name, value in (await bench.chat(ask())).headers.items()}
        assert headers["x-ratelimit-limit-requests"] == "100"
        assert headers["x-ratelimit-remaining-requests"] in {"99", "100"}, "a call flows back in 600 ms"
        assert re.fullmatch(r"\d+ms", headers["x-ratelimit-reset-requests"])
        assert headers["ratelimit-policy"] == '"requests_per_minute";q=100;w=60'
        assert re.fullmatch(r'"requests_per_minute";r=(99|100);t=\d', headers["ratelimit"])
        assert "x-ratelimit-limit-tokens" not in headers
        await use_up(bench, limits_of(PLANS["free"], Scope.PLAN)[1], 0)
        error, _ = await refused(bench)
        told = dict(error.trailing_metadata)
        assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("1000", "0")
        assert re.fullmatch(r"(\d+m)?\d+(\.\d+)?s", str(told["x-ratelimit-reset-requests"]))


async def test_a_plan_without_limits_asks_nobody(database: TestDatabase, provider: ProviderDouble) -> None:
    async with open_workbench(database, plan="unlimited") as bench:
        await bench.add_model(ModelRow(), provider.url)
        answer = await bench.chat(ask())
        assert not [name for name in answer.headers if "ratelimit" in name]


async def test_without_valkey_a_plan_with_limits_lets_nothing_through(
    database: TestDatabase, provider: ProviderDouble
) -> None:
    async with open_workbench(database, plan="free") as bench:
        await bench.add_model(ModelRow(), provider.url)
        begin = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            await bench.chat(ask())
        assert caught.value.retry_after == 1.0
        assert time.monotonic() - begin < 1.5
        assert await bench.spent() == 0
        assert provider.requests == []
