"""Calls without a valid credential are counted by their address, others than chat by who makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import grpc
import httpx2
import pytest

from tests.journeys.test_limits import bearer, chat
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running
from tollbridge.chat.v1 import chat_service_pb2, chat_service_pb2_grpc

A_MINUTE: Final = 30
A_CALLER: Final = 40


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The product with low bounds, behind a proxy on this machine."""
    proxies = ("--trusted-proxies", "127.0.0.1/32")
    options = ("--workers", "2", "--no-local-model", "--aliases", "knockxprime", *proxies)
    settings = {"TOLLBRIDGE_REQUESTS_PER_ADDRESS": str(A_MINUTE), "RATE_LIMIT_REQUESTS": str(A_CALLER)}
    with scratch_folder() as folder, running(folder, *options, **settings) as product:
        yield product


@pytest.mark.parametrize(
    ("ip", "path", "credential"),
    [
        ("192.0.2.1", "/v1/chat/completions", ""),
        ("192.0.2.2", "/v1/chat/completions", "tb_live_wrong"),
        ("192.0.2.3", "/v1/auth/register", ""),
        ("192.0.2.4", "/api/v1/chat/completions", ""),
    ],
)
async def test_strangers_are_bounded_and_whoever_has_a_credential_is_not(
    served: Served, ip: str, path: str, credential: str
) -> None:
    headers = {"X-Forwarded-For": ip, **(bearer(credential) if credential else {})}
    body = {"wrong": True}
    seen: Counter[int] = Counter()
    async with httpx2.AsyncClient(timeout=30) as client:
        for _ in range(A_MINUTE + 20):
            answer = await client.post(served.http + path, json=body, headers=headers)
            seen[answer.status_code] += 1
            if answer.status_code == 429:
                assert answer.json()["error"]["code"] == "rate_limit_exceeded"
                assert float(answer.headers["retry-after"]) > 0
    # Some flow back while the test runs, so that a few more may get in.
    assert seen[429] >= 10, seen
    tenant_key = served.api_key
    read = httpx2.get(f"{served.http}/v1/models", headers={**headers, **bearer(tenant_key)}, timeout=30)
    assert read.status_code == 200, "a valid credential does not count, from wherever it comes"
    elsewhere = {**headers, "X-Forwarded-For": "192.0.2.200"}
    assert httpx2.post(served.http + path, json=body, headers=elsewhere, timeout=30).status_code != 429
    for probe in ("/health", "/v1/platform/ping"):
        assert httpx2.get(served.http + probe, headers=headers, timeout=30).status_code == 200


async def test_grpc_is_counted_too(served: Served) -> None:
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        stub = chat_service_pb2_grpc.ChatServiceStub(channel)
        codes: Counter[grpc.StatusCode] = Counter()
        for _ in range(A_MINUTE + 20):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.CreateChatCompletion(chat_service_pb2.CreateChatCompletionRequest(), timeout=20)
            codes[refused.value.code()] += 1
    assert codes[grpc.StatusCode.RESOURCE_EXHAUSTED] >= 10, codes
    assert set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED}


async def test_one_callers_calls_beside_chat_are_bounded(served: Served) -> None:
    seen: Counter[int] = Counter()
    async with httpx2.AsyncClient(timeout=30) as client:
        for _ in range(70):
            answer = await client.get(f"{served.http}/v1/billing/balance", headers=bearer(served.api_key))
            seen[answer.status_code] += 1
    assert seen[200] >= 40
    assert seen[429] >= 5, seen
    assert (await chat(served, served.api_key)).status_code == 200, "chat is bounded by plans"
