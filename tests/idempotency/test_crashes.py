"""Workers that die over a call: the retry finishes it, and it is paid for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import get_args
from uuid import uuid4

import aiohttp
import pytest

from server.foundation.crash_points import CrashPoint, KeyedPoint
from tests.chaos.books import verify
from tests.idempotency.callers import CREATE_KEY, Came, Rest, ask
from tests.idempotency.counted import balance_of, keys_named, requests_of, retried, scripted
from tests.rest.waiting import until
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant

DieAt = Callable[..., None]
CHAT_POINTS: tuple[CrashPoint | KeyedPoint, ...] = (
    "claimed",
    "upstream sent",
    "mid-stream",
    "journal synced",
    "answered, not kept",
)
CHANGE_POINTS: tuple[KeyedPoint, ...] = ("claimed", "changed, not committed", "changed")
TAKEN_BACK_SECONDS = 40.0
STORY = Script(tokens=12, interval=0.01)


async def first_try(call: Callable[[], Awaitable[Came]]) -> Came | None:
    """What came of a call whose worker may die; None where its connection broke."""
    try:
        return await call()
    except (aiohttp.ClientError, ConnectionError):
        return None


async def settled(served: Served, tenant: Tenant, expected: Decimal, point: str) -> None:
    """Returns when the tenant has so much left, and nothing reserved."""
    try:
        await until(lambda: balance_of(served, tenant) == (expected, Decimal(0)), TAKEN_BACK_SECONDS)
    except TimeoutError:
        assert balance_of(served, tenant) == (expected, Decimal(0)), point


async def chat_through(served: Served, rest: Rest, die_at: DieAt, point: str, tenant: Tenant) -> None:
    """A stream whose worker dies at the point, finished by its retries."""
    text = uuid4().hex
    body = ask(text, stream=True)
    with scripted(served, text, STORY):
        die_at(point)
        await first_try(lambda: rest.chat(body, tenant.key, "k"))
        done = await retried(lambda: rest.chat(body, tenant.key, "k"))
        again = await rest.chat(body, tenant.key, "k")
    assert done.ok, (point, done.body)
    assert done.body.endswith(b"data: [DONE]\n\n"), point
    assert (again.body, again.replayed) == (done.body, True), point


async def test_a_chat_call_whose_worker_dies_is_finished_by_its_retry_and_paid_for_once(
    served: Served, rest: Rest, die_at: DieAt
) -> None:
    control = make_tenant(served, "10")
    with scripted(served, "Count.", STORY):
        whole = await rest.chat(ask(stream=True), control.key, "control")
    assert whole.ok
    # Another worker than the one that is asked may have served it, and tells the database a moment later.
    await until(lambda: balance_of(served, control)[0] < 10)
    spent, _ = balance_of(served, control)
    died: list[tuple[str, Tenant]] = []
    for point in CHAT_POINTS:
        tenant = make_tenant(served, "10")
        await chat_through(served, rest, die_at, point, tenant)
        died.append((point, tenant))
    for where, tenant in died:
        await settled(served, tenant, spent, where)
    assert verify(served.data_dir) == ""


@pytest.mark.parametrize("point", CHANGE_POINTS)
async def test_a_change_whose_worker_dies_is_made_once(
    served: Served, rest: Rest, tenant: Tenant, die_at: DieAt, point: KeyedPoint
) -> None:
    die_at(point)
    request = {"name": point}
    assert await first_try(lambda: rest.call(CREATE_KEY, request, tenant.token, "k")) is None, "its worker is dead"
    done = await retried(lambda: rest.call(CREATE_KEY, request, tenant.token, "k"))
    assert done.ok, done.body
    assert done.replayed == (point == "changed"), "what was committed is remembered with it"
    again = await rest.call(CREATE_KEY, request, tenant.token, "k")
    assert (again.body, again.replayed) == (done.body, True)
    assert keys_named(served, tenant, point) == 1


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
