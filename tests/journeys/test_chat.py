"""Chat as its users call it: the OpenAI SDK, curl, a typed gRPC stub; metered, priced, paid."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import grpc
import httpx2
import openai
import pytest

from tests.support.clients import Client
from tests.support.provider_double import Ending, Party, Refusal, Request, Script, Usage
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant
from tollbridge.chat.v1 import chat_pb2, chat_service_pb2, chat_service_pb2_grpc

MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
BILLING = "tollbridge.billing.v1.BillingService"
USAGE = "tollbridge.usage.v1.UsageService"


@pytest.fixture
def tenant(served: Served) -> Tenant:
    """An organization with ten dollars."""
    return make_tenant(served, "10")


@pytest.fixture
def sdk(served: Served, tenant: Tenant) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.http}/v1", api_key=tenant.key, max_retries=0) as client:
        yield client


def balance(served: Served, tenant: Tenant) -> Decimal:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    return Decimal(httpx2.get(f"{served.http}/v1/billing/balance", headers=headers).json()["balance"])


def history(served: Served, tenant: Tenant) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    events: list[dict[str, Any]] = httpx2.get(f"{served.http}/v1/usage/history", headers=headers).json()["events"]
    return events


def newest(served: Served) -> Request:
    return served.provider.requests[-1]


def test_the_sdk_gets_a_whole_answer_that_is_paid_to_the_nano(
    served: Served, tenant: Tenant, sdk: openai.OpenAI
) -> None:
    served.provider.next(Script(tokens=7, prompt_tokens=11))
    answer = sdk.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
    price = (Decimal(11) * Decimal("0.15") + Decimal(7) * Decimal("0.60")) / 1_000_000
    assert balance(served, tenant) == Decimal(10) - price
    event = history(served, tenant)[0]
    assert Decimal(event["cost"]) == price
    assert event["ending"] == "complete"
    assert newest(served).headers["authorization"] == "Bearer sk-double-secret-key"


def test_the_sdk_streams_at_the_same_price(served: Served, tenant: Tenant, sdk: openai.OpenAI) -> None:
    served.provider.next(Script(tokens=7, prompt_tokens=11))
    chunks = list(sdk.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == newest(served).text
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    price = (Decimal(11) * Decimal("0.15") + Decimal(7) * Decimal("0.60")) / 1_000_000
    assert balance(served, tenant) == Decimal(10) - price


def test_usage_comes_in_a_last_chunk_where_it_was_asked_for(served: Served, sdk: openai.OpenAI) -> None:
    served.provider.next(Script(tokens=3, prompt_tokens=5))
    stream = sdk.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *_, last = stream
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 8


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        ({"model": "no-such-model"}, openai.NotFoundError, "model_not_found"),
        ({"model": "unpriced"}, openai.BadRequestError, "model_unpriced"),
        ({"messages": []}, openai.BadRequestError, "invalid_request"),
        ({"max_tokens": -1}, openai.BadRequestError, "invalid_request"),
        ({"extra_body": {"api_base": "http://127.0.0.1:1"}}, openai.BadRequestError, "invalid_request"),
        ({"extra_body": {"Max_Tokens": 5}}, openai.BadRequestError, "invalid_request"),
    ],
)
def test_wrong_calls_are_told_by_code(
    served: Served,
    tenant: Tenant,
    sdk: openai.OpenAI,
    call: dict[str, Any],
    error: type[openai.APIStatusError],
    code: str,
) -> None:
    seen = len(served.provider.requests)
    with pytest.raises(error) as caught:
        sdk.chat.completions.create(**{"model": MODEL, "messages": HELLO, **call})
    assert caught.value.code == code
    assert caught.value.response.headers["x-request-id"].startswith("req_")
    assert len(served.provider.requests) == seen
    assert balance(served, tenant) == 10


def test_a_wrong_key_is_an_authentication_error(served: Served) -> None:
    with (
        openai.OpenAI(base_url=f"{served.http}/v1", api_key="tb_live_wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model=MODEL, messages=HELLO)


def test_without_money_the_sdk_is_told_not_to_retry(served: Served) -> None:
    poor = make_tenant(served)
    seen = len(served.provider.requests)
    with (
        openai.OpenAI(base_url=f"{served.http}/v1", api_key=poor.key, max_retries=2) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.status_code == 402
    assert caught.value.code == "insufficient_quota"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(served.provider.requests) == seen


def test_the_sdk_retries_what_the_provider_limits(served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(refusal=Refusal.rate_limited(0.1)), Script(tokens=2))
    with openai.OpenAI(base_url=f"{served.http}/v1", api_key=tenant.key, max_retries=2) as client:
        answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content
    assert [event["ending"] for event in history(served, tenant)].count("complete") == 1


def test_models_are_listed_and_read(served: Served, sdk: openai.OpenAI) -> None:
    listed = [model.id for model in sdk.models.list()]
    assert {MODEL, "org/renamed"} <= set(listed)
    assert "unpriced" not in listed
    assert sdk.models.retrieve("org/renamed").owned_by == "double"
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("no-such-model")


def test_a_key_calls_its_own_models_only(served: Served, tenant: Tenant) -> None:
    made = served.post("/v1/keys", {"models": ["org/renamed"]}, tenant.token)["secret"]
    with openai.OpenAI(base_url=f"{served.http}/v1", api_key=made, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["org/renamed"]
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model=MODEL, messages=HELLO)


def test_the_local_model_answers(served: Served) -> None:
    with openai.OpenAI(base_url=f"{served.http}/v1", api_key=served.api_key, max_retries=0) as client:
        first = next(iter(client.models.list())).id
        answer = client.chat.completions.create(model=first, messages=HELLO, max_tokens=12)
        assert answer.choices[0].message.content
        chunks = list(client.chat.completions.create(model=first, messages=HELLO, max_tokens=8, stream=True))
        assert len(chunks) >= 2


def test_curl_sees_openai_s_framing(served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=4))
    body = json.dumps({"model": MODEL, "stream": True, "messages": HELLO})
    command = ["curl", "-sN", "-i", f"{served.http}/v1/chat/completions", "-d", body]
    headers = ["-H", f"Authorization: Bearer {tenant.key}", "-H", "Content-Type: application/json"]
    seen = subprocess.run([*command, *headers], capture_output=True, check=True, timeout=20).stdout
    head, _, stream = seen.partition(b"\r\n\r\n")
    assert b"content-type: text/event-stream" in head.lower()
    assert b"cache-control: no-cache, no-transform" in head.lower()
    assert stream.endswith(b"data: [DONE]\n\n")
    lines = [line for line in stream.split(b"\n\n") if line]
    assert all(line.startswith(b"data: ") for line in lines)
    assert all(json.loads(line[6:])["choices"] for line in lines[:-1])


async def test_a_typed_stub_answers_and_says_what_it_cost(served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=7, prompt_tokens=11))
    request = chat_service_pb2.CreateChatCompletionRequest(
        model=MODEL, messages=[chat_pb2.ChatMessage(role="user", content="Say hello.")], max_tokens=20
    )
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        stub = chat_service_pb2_grpc.ChatServiceStub(channel)
        call = stub.CreateChatCompletion(request, metadata=(("authorization", f"Bearer {tenant.key}"),), timeout=20)
        answer = await call
        trailing = dict(await call.trailing_metadata())
    assert answer.choices[0].message.content == newest(served).text
    packed = trailing["tollbridge-outcome-bin"]
    assert isinstance(packed, bytes)
    outcome = chat_pb2.Outcome.FromString(packed)
    assert outcome.tokens.total == 18
    assert (outcome.plan_id, outcome.model, outcome.provider) == ("unlimited", MODEL, "double")
    assert Decimal(outcome.available) == balance(served, tenant)
    assert Decimal(outcome.cost) == Decimal(10) - balance(served, tenant)
    assert outcome.usage_event_id == history(served, tenant)[0]["id"]


async def test_a_typed_stub_streams(served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=5, interval=0.01))
    request = chat_service_pb2.CreateChatCompletionRequest(
        model=MODEL, messages=[chat_pb2.ChatMessage(role="user", content="Say hello.")]
    )
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        stub = chat_service_pb2_grpc.ChatServiceStub(channel)
        call = stub.StreamChatCompletion(request, metadata=(("authorization", f"Bearer {tenant.key}"),), timeout=20)
        pieces = [chunk.choices[0].delta.content async for chunk in call]
    assert "".join(pieces) == newest(served).text


@pytest.mark.parametrize("taken", [1, 7])
async def test_a_client_that_leaves_stops_the_provider_and_pays_for_what_it_got(
    served: Served, tenant: Tenant, taken: int
) -> None:
    served.provider.next(Script(tokens=400, interval=0.05, prompt_tokens=9))
    body = {"model": MODEL, "stream": True, "messages": HELLO}
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{served.http}/v1/chat/completions", json=body, headers=headers) as answer:
            seen = 0
            while seen < taken:
                seen += b'"content":"t' in await answer.content.readline()
        left = time.monotonic()
    upstream = newest(served)
    await asyncio.to_thread(_wait_closed, upstream)
    assert upstream.closed_by is Party.CLIENT
    assert time.monotonic() - left < 1.0
    event = await _event(served, tenant)
    assert event["ending"] == "client_left"
    assert taken <= event["tokens"]["output"] <= taken + 20
    assert event["tokens"]["input"] > 0
    assert Decimal(10) - balance(served, tenant) == Decimal(event["cost"])


def _wait_closed(upstream: Request) -> None:
    """The double lives in another thread's loop, so its own waiting cannot be awaited here."""
    give_up = time.monotonic() + 5
    while not upstream.closed and time.monotonic() < give_up:
        time.sleep(0.01)


async def _event(served: Served, tenant: Tenant) -> dict[str, Any]:
    """The newest event; its settlement may still be under way after a client left."""
    give_up = time.monotonic() + 2
    while not (events := history(served, tenant)):
        assert time.monotonic() < give_up, "nothing was settled"
        await asyncio.sleep(0.02)
    return events[0]


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.TRUNCATED])
def test_a_provider_that_dies_mid_stream_is_an_error_in_the_stream(
    served: Served, tenant: Tenant, ending: Ending
) -> None:
    served.provider.next(Script(tokens=6, interval=0.01, ending=ending))
    body = {"model": MODEL, "stream": True, "messages": HELLO}
    headers = {"Authorization": f"Bearer {tenant.key}"}
    answer = httpx2.post(f"{served.http}/v1/chat/completions", json=body, headers=headers, timeout=20)
    assert answer.status_code == 200
    *_, last = [event for event in answer.text.split("\n\n") if event]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "provider_failed"
    assert "[DONE]" not in answer.text


def test_a_provider_that_reports_ten_times_as_much_cannot_overcharge(served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=4, prompt_tokens=10, usage=Usage.TENFOLD))
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 4}
    headers = {"Authorization": f"Bearer {tenant.key}"}
    assert httpx2.post(f"{served.http}/v1/chat/completions", json=body, headers=headers, timeout=20).status_code == 200
    reported = (100 * Decimal("0.15") + 40 * Decimal("0.60")) / 1_000_000
    held = (Decimal(len(json.dumps(body)) + 64) * Decimal("0.15") + 4 * Decimal("0.60")) / 1_000_000
    assert Decimal(10) - balance(served, tenant) <= held < reported


async def test_a_hundred_calls_at_once_never_cost_more_than_there_is(served: Served) -> None:
    poor = make_tenant(served, "0.5")
    served.provider.when("gpt-4o-mini", Script(tokens=10, prompt_tokens=10))
    body = {"model": "org/renamed", "messages": HELLO, "max_tokens": 10}
    headers = {"Authorization": f"Bearer {poor.key}"}
    async with aiohttp.ClientSession() as session:

        async def call() -> int:
            async with session.post(f"{served.http}/v1/chat/completions", json=body, headers=headers) as answer:
                await answer.read()
                return answer.status

        statuses = await asyncio.gather(*(call() for _ in range(100)))
    assert set(statuses) <= {200, 402, 429}
    assert statuses.count(200) * Decimal("0.03") == Decimal("0.5") - balance(served, poor)
    assert balance(served, poor) >= 0
    assert statuses.count(200) >= 5


async def only_event(client: Client, tenant: Tenant) -> dict[str, Any]:
    """The tenant's one call. Another process than the one that served it shows it a moment later."""
    async with asyncio.timeout(2):
        while not (events := (await client.call(f"{USAGE}/ListUsageEvents", {}, tenant.key))["events"]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    (event,) = events
    found: dict[str, Any] = event
    return found


async def test_usage_and_statement_agree_over_every_transport(client: Client, served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=7, prompt_tokens=11, cached_tokens=4, reasoning_tokens=2))
    with openai.OpenAI(base_url=f"{served.http}/v1", api_key=tenant.key, max_retries=0) as sdk:
        await asyncio.to_thread(sdk.chat.completions.create, model=MODEL, messages=HELLO)
    event = await only_event(client, tenant)
    assert event["tokens"] == {
        "input": 7,
        "cache_read": 4,
        "cache_write": 0,
        "output": 7,
        "reasoning": 2,
        "total": 20,
    }
    current = await client.call(f"{USAGE}/GetCurrentUsage", {}, tenant.key)
    assert current["day"]["totals"]["cost"] == event["cost"]
    daily = await client.call(f"{USAGE}/ListDailyUsage", {"page_size": 1}, tenant.key)
    monthly = await client.call(f"{USAGE}/ListMonthlyUsage", {}, tenant.key)
    stats = await client.call(f"{USAGE}/GetUsageStats", {}, tenant.key)
    for row in (daily["days"][0], monthly["months"][0], stats["period"]):
        assert row["totals"]["tokens"]["total"] == 20
    statement = await client.call(f"{BILLING}/ListTransactions", {}, tenant.key)
    signed = [Decimal(row["amount"]) * (1 if row["direction"] == "CREDIT" else -1) for row in statement["transactions"]]
    assert sum(signed) == Decimal((await client.call(f"{BILLING}/GetBalance", {}, tenant.key))["balance"])


def test_the_books_are_right_after_it_all(served: Served) -> None:
    command = [sys.executable, "-m", "cli", "verify", "--data-dir", str(served.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout


def test_no_secret_is_in_the_log(served: Served, tenant: Tenant, sdk: openai.OpenAI) -> None:
    sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "a very private prompt"}])
    text = served.log.read_text()
    assert "ChatCompletions" in text
    for secret in (tenant.key, tenant.token, tenant.refresh_token, served.api_key, "sk-double-secret-key"):
        assert secret not in text
    assert "a very private prompt" not in text
