"""Workers that die over a call: the retry finishes it, and it is paid for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import get_args
from uuid import uuid4

import aiohttp
import pytest

from server.foundation.crash_points import CrashPoint, KeyedPoint
from tests.chaos.books import verify
from tests.idempotency.callers import CREATE_KEY, Came, Rest, ask
from tests.idempotency.conftest import DieAt
from tests.idempotency.counted import keys_named, requests_of, retried, scripted, settled
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import Tenant

CHAT_POINTS: tuple[CrashPoint | KeyedPoint, ...] = (
    "claimed",
    "mid-stream",
    "journal synced",
    "answered, not kept",
)
CHANGE_POINTS: tuple[KeyedPoint, ...] = ("claimed", "changed, not committed", "changed")
MOST_TRIES = 40
STORY = Script(tokens=12, interval=0.01)
PRICE = Decimal("0.0000087")
"""10 tokens of prompt and 12 of output, at 0.15 and 0.60 dollars a million."""


async def first_try(call: Callable[[], Awaitable[Came]]) -> Came | None:
    """What came of a call whose worker may die; None where its connection broke."""
    try:
        return await call()
    except (aiohttp.ClientError, ConnectionError):
        return None


async def chat_until_one_dies(
    served: Served, rest: Rest, die_at: DieAt, point: CrashPoint | KeyedPoint, tenant: Tenant
) -> int:
    """Streams until the worker of one dies at the point, each finished by its retries. How many there were."""
    text = uuid4().hex
    body = ask(text, stream=True)
    with scripted(served, text, STORY):
        has_died = die_at(point)
        for number in range(1, MOST_TRIES):
            key = f"k-{number}"
            ask_again = partial(rest.chat, body, tenant.key, key)
            await first_try(ask_again)
            done = await retried(ask_again)
            again = await ask_again()
            assert done.ok, (point, done.body)
            assert done.body.endswith(b"data: [DONE]\n\n"), point
            assert (again.body, again.replayed) == (done.body, True), point
            if has_died():
                return number
    raise AssertionError(f"nobody died at {point}")


@pytest.mark.parametrize("point", CHAT_POINTS)
async def test_a_chat_call_whose_worker_dies_is_finished_by_its_retry_and_paid_for_once(
    served: Served, rest: Rest, tenant: Tenant, die_at: DieAt, point: CrashPoint | KeyedPoint
) -> None:
    calls = await chat_until_one_dies(served, rest, die_at, point, tenant)
    await settled(served, tenant, 10 - calls * PRICE, point)
    assert verify(served.data_dir) == ""


@pytest.mark.parametrize("point", CHANGE_POINTS)
async def test_a_change_whose_worker_dies_is_made_once(
    served: Served, rest: Rest, tenant: Tenant, die_at: DieAt, point: KeyedPoint
) -> None:
    has_died = die_at(point)
    for number in range(1, MOST_TRIES):
        name = f"k-{number}"
        ask_again = partial(rest.call, CREATE_KEY, {"name": name}, tenant.token, name)
        broken = await first_try(ask_again)
        died = has_died()
        done = await retried(ask_again)
        again = await ask_again()
        assert done.ok, done.body
        assert (again.body, again.replayed) == (done.body, True)
        assert keys_named(served, tenant, name) == 1
        if died:
            assert broken is None
            assert done.replayed == (point == "changed"), "what was committed is remembered with it"
            return
    raise AssertionError(f"nobody died at {point}")


def test_each_point_of_such_calls_is_tried() -> None:
    assert set(get_args(KeyedPoint)) <= {*CHAT_POINTS, *CHANGE_POINTS}


@pytest.mark.parametrize("kind", ["chat", "stream", "change"])
async def test_of_fifty_at_once_over_three_workers_one_runs(
    served: Served, rest: Rest, tenant: Tenant, kind: str
) -> None:
    text = uuid4().hex

    async def ask_once() -> Came:
        if kind == "change":
            return await rest.call(CREATE_KEY, {"name": text}, tenant.token, text)
        return await rest.chat(ask(text, stream=kind == "stream"), tenant.key, text)

    with scripted(served, text, Script(tokens=10, interval=0.02, delay=0.3)):
        came = await asyncio.gather(*(retried(ask_once) for _ in range(50)))
    assert {answer.body for answer in came} == {came[0].body}
    assert all(answer.ok for answer in came)
    assert sum(not answer.replayed for answer in came) == 1
    if kind == "change":
        assert keys_named(served, tenant, text) == 1
    else:
        assert len(requests_of(served, text)) == 1
