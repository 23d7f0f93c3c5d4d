"""Limits as callers meet them: over three workers, on every transport, with Valkey away, and before the door."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
import httpx2
import openai
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.journeys.workers_of import workers_of
from tests.processes.processes import children_of, one
from tests.rest.waiting import until
from tests.support.provider_double import Script
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running
from tests.support.tenants import Tenant, assign, make_tenant
from tollbridge.chat.v1 import chat_pb2, chat_service_pb2, chat_service_pb2_grpc

MODEL: Final = "gpt-4o-mini"
HELLO: Final[list[Any]] = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The product with three workers."""
    with scratch_folder() as folder, running(folder, "--workers", "3", "--no-local-model") as product:
        yield product


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


async def chat(served: Served, key: str, **more: Any) -> httpx2.Response:
    """One chat call over a connection of its own, so that any worker may get it."""
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 2, **more}
    async with httpx2.AsyncClient(timeout=30) as client:
        return await client.post(f"{served.http}/v1/chat/completions", json=body, headers=bearer(key))


def put_limits(served: Served, tenant: Tenant, **body: Any) -> httpx2.Response:
    return httpx2.put(f"{served.http}/v1/limits", json=body, headers=bearer(tenant.token), timeout=30)


def left(served: Served, tenant: Tenant, name: str, subject: str = "plan") -> int:
    """What GetLimits says is left."""
    answer = httpx2.get(f"{served.http}/v1/limits", headers=bearer(tenant.key), params={"model": MODEL}, timeout=30)
    found: list[int] = [
        row["remaining"] for row in answer.json()["standings"] if (row["name"], row["subject"]) == (name, subject)
    ]
    assert len(found) == 1, answer.text
    return found[0]


async def at_once(served: Served, key: str, number: int) -> Counter[int]:
    """Statuses of so many calls at once."""
    answers = await asyncio.gather(*(chat(served, key) for _ in range(number)))
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
            assert float(answer.headers["retry-after"]) > 0
    return Counter(answer.status_code for answer in answers)


async def test_fifty_calls_over_three_workers_get_exactly_what_a_day_has(served: Served) -> None:
    assert len(workers_of(served.pid)) == 3
    served.provider.when(MODEL, Script(tokens=2, prompt_tokens=9))
    tenant = make_tenant(served, plan="baby-free")
    assert await at_once(served, tenant.key, 50) == {200: 10, 429: 40}
    assert left(served, tenant, "requests_per_day") == 0
    await until(lambda: left(served, tenant, "tokens_per_day") == 1000 - 10 * 11)


@pytest.mark.parametrize("subject", ["key", "user", "organization", "model"])
async def test_fifty_calls_over_three_workers_get_exactly_what_each_subject_has(served: Served, subject: str) -> None:
    served.provider.when(MODEL, Script(tokens=2, prompt_tokens=9))
    tenant, limits, key = make_tenant(served, "1"), {"requests_per_day": 17}, ""
    if subject == "key":
        key = served.post("/v1/keys", {"name": "narrow", "limits": limits}, tenant.token)["secret"]
    else:
        key = tenant.key
        names: dict[str, dict[str, Any]] = {
            "user": {"user_id": tenant.user_id},
            "organization": {"organization": True},
            "model": {"model": MODEL},
        }
        assert put_limits(served, tenant, **names[subject], limits=limits).status_code == 200
    assert await at_once(served, key, 50) == {200: 17, 429: 33}


async def test_calls_at_once_are_bounded_over_three_workers(served: Served) -> None:
    served.provider.when(MODEL, Script(tokens=2, delay=1.0))
    tenant = make_tenant(served, "1")
    assert put_limits(served, tenant, organization=True, limits={"concurrency": 5}).status_code == 200
    assert await at_once(served, tenant.key, 20) == {200: 5, 429: 15}
    served.provider.when(MODEL, Script(tokens=2))
    assert (await chat(served, tenant.key)).status_code == 200


async def test_the_openai_sdk_and_a_typed_stub_understand_a_refusal(served: Served) -> None:
    tenant = make_tenant(served, plan="baby-free")
    assert put_limits(served, tenant, organization=True, limits={"requests_per_hour": 1}).status_code == 200
    with openai.OpenAI(base_url=f"{served.http}/v1", api_key=tenant.key, max_retries=0) as client:
        client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2)
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    headers = caught.value.response.headers
    assert 0 < float(headers["retry-after"]) <= 3600
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("1", "0")
    assert headers["ratelimit"].startswith('"requests_per_hour";r=0;t=')

    request = chat_service_pb2.CreateChatCompletionRequest(
        model=MODEL, messages=[chat_pb2.ChatMessage(role="user", content="hi")], max_tokens=2
    )
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        stub = chat_service_pb2_grpc.ChatServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CreateChatCompletion(request, metadata=(("authorization", f"Bearer {tenant.key}"),), timeout=20)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailing = dict(refused.value.trailing_metadata())
    assert trailing["x-ratelimit-remaining-requests"] == "0"
    packed = trailing["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    quota, retry = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
    found = [detail.Unpack(kind) for detail in status_pb2.Status.FromString(packed).details for kind in (quota, retry)]
    assert found.count(True) == 2
    assert [row.subject for row in quota.violations] == ["organization"]
    assert 0 < retry.retry_delay.seconds <= 3600


async def test_a_change_of_plan_counts_everywhere_within_a_second(served: Served) -> None:
    served.provider.when(MODEL, Script(tokens=2, prompt_tokens=9))
    tenant = make_tenant(served, "1", plan="unlimited")
    for _ in range(12):
        assert (await chat(served, tenant.key)).status_code == 200
    assign(served, tenant.organization_id, "baby-free")
    changed = time.monotonic()
    while (answer := await chat(served, tenant.key)).status_code == 200:
        assert time.monotonic() - changed < 1
    assert answer.status_code == 429, "what was used of the day before the change stays used"
    assert set(await at_once(served, tenant.key, 12)) == {429}
    assign(served, tenant.organization_id, "unlimited")
    changed = time.monotonic()
    while (await chat(served, tenant.key)).status_code == 429:
        assert time.monotonic() - changed < 1


async def test_nobody_sets_limits_of_strangers_or_without_the_right(served: Served) -> None:
    tenant, other = make_tenant(served), make_tenant(served)
    assert put_limits(served, tenant, user_id=other.user_id, limits={"requests_per_day": 1}).status_code == 404
    assert put_limits(served, tenant, limits={"requests_per_day": 1}).status_code == 400
    assert put_limits(served, tenant, organization=True, limits={"requests_per_day": -1}).status_code == 400
    by_key = httpx2.put(f"{served.http}/v1/limits", json={"organization": True}, headers=bearer(tenant.key), timeout=30)
    assert by_key.status_code == 403
    wanted = {"organization_id": tenant.organization_id, "plan_id": "enterprise"}
    raised = httpx2.post(f"{served.http}/v1/subscription:assign", json=wanted, headers=bearer(tenant.token), timeout=30)
    assert raised.status_code == 403


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_while_valkey_hangs_nothing_with_limits_goes_through_and_reads_go_on(served: Served) -> None:
    served.provider.when(MODEL, Script(tokens=2, prompt_tokens=9))
    bounded, unlimited = make_tenant(served, plan="leveler"), make_tenant(served, "1", plan="unlimited")
    assert (await chat(served, bounded.key)).status_code == 200
    valkey = one(children_of(served.pid), "valkey-server")
    with stopped(valkey):
        # What each worker was granted ahead of need ends within a second of the last word from Valkey.
        begin = time.monotonic()
        while time.monotonic() - begin < 1:
            await chat(served, bounded.key)
        for _ in range(5):
            begin = time.monotonic()
            answer = await chat(served, bounded.key)
            assert time.monotonic() - begin < 2.5, "a second, and a slow machine"
            assert answer.status_code == 503
            assert float(answer.headers["retry-after"]) >= 1
        assert (await chat(served, unlimited.key)).status_code == 200
        for path in ("/v1/usage/current", "/v1/subscription", "/v1/billing/balance"):
            read = httpx2.get(f"{served.http}{path}", headers=bearer(bounded.key), timeout=30)
            assert read.status_code == 200, path
    back = time.monotonic()
    while (await chat(served, bounded.key)).status_code != 200:
        assert time.monotonic() - back < 4, "two seconds, and a slow machine"
    used = 100 - left(served, bounded, "requests_per_day")
    usage = httpx2.get(f"{served.http}/v1/usage/current", headers=bearer(bounded.key), timeout=30).json()
    assert usage["day"]["totals"]["requests"] <= used <= usage["day"]["totals"]["requests"] + 20


async def test_what_was_taken_is_given_back_when_a_client_leaves(served: Served) -> None:
    served.provider.when(MODEL, Script(tokens=500, interval=0.02, prompt_tokens=9))
    tenant = make_tenant(served, plan="leveler")
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    async with (
        httpx2.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{served.http}/v1/chat/completions", json=body, headers=bearer(tenant.key)) as answer,
    ):
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) == 0, "without a maximum it may use all"
        await anext(answer.aiter_bytes())
    await until(lambda: left(served, tenant, "tokens_per_day") > 4800, 20)
