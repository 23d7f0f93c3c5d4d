"""The provider double follows its scripts and its record is what happened."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.provider_double import Ending, Opening, Party, ProviderDouble, Refusal, Script, ToolCall, Usage

ASKED: dict[str, Any] = {"model": "gpt-double", "messages": [{"role": "user", "content": "hi"}]}
STREAMED = {**ASKED, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(client: aiohttp.ClientSession, provider: ProviderDouble, body: dict[str, Any]) -> aiohttp.ClientResponse:
    return await client.post(f"{provider.url}/chat/completions", json=body)


async def events(response: aiohttp.ClientResponse) -> list[Any]:
    """Every event of a stream, parsed; `[DONE]` stays text."""
    data = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


async def test_a_unary_answer_has_its_tokens_and_honest_usage(
    client: aiohttp.ClientSession, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=3, prompt_tokens=7, cached_tokens=4, reasoning_tokens=5))
    answer = await (await post(client, provider, {**ASKED, "n": 2})).json()
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["t0 t1 t2 "] * 2
    assert answer["usage"]["prompt_tokens"] == 7
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 4
    assert answer["usage"]["completion_tokens"] == 2 * 3 + 5
    record = provider.requests[0]
    assert (record.json["n"], record.path, len(record.tokens)) == (2, "/v1/chat/completions", 6)
    assert record.closed_by is Party.DOUBLE


async def test_a_stream_gives_role_tokens_reason_usage_and_done(
    client: aiohttp.ClientSession, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=5))
    *chunks, done = await events(await post(client, provider, {**STREAMED, "max_tokens": 2}))
    assert done == "[DONE]"
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:-1]] == ["", "t0 ", "t1 ", None]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    times = [moment for _, moment in provider.requests[0].tokens]
    assert times == sorted(times)


async def test_usage_that_nobody_asked_for_is_not_streamed(
    client: aiohttp.ClientSession, provider: ProviderDouble
) -> None:
    chunks = await events(await post(client, provider, {**ASKED, "stream": True}))
    assert all("usage" not in chunk for chunk in chunks[:-1])
    assert provider.requests[0].reported_usage is None


@pytest.mark.parametrize(("usage", "completion"), [(Usage.ZERO, 0), (Usage.TENFOLD, 80), (Usage.MISSING, None)])
async def test_usage_can_lie(
    client: aiohttp.ClientSession, provider: ProviderDouble, usage: Usage, completion: int | None
) -> None:
    provider.when("gpt-double", Script(tokens=8, usage=usage))
    answer = await (await post(client, provider, ASKED)).json()
    assert answer.get("usage", {}).get("completion_tokens") == completion
    chunks = await events(await post(client, provider, STREAMED))
    assert (chunks[-2].get("usage") or {}).get("completion_tokens") == completion


async def test_a_maximum_can_be_ignored(client: aiohttp.ClientSession, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=8, ignores_maximum=True))
    answer = await (await post(client, provider, {**ASKED, "max_completion_tokens": 2})).json()
    assert answer["usage"]["completion_tokens"] == 8


@pytest.mark.parametrize(
    "refusal",
    [Refusal.rate_limited(1.5), Refusal.unauthorized(), Refusal.bad_request("top_p"), Refusal.broken()],
    ids=lambda refusal: str(refusal.status),
)
async def test_refusals_carry_openais_error(
    client: aiohttp.ClientSession, provider: ProviderDouble, refusal: Refusal
) -> None:
    provider.next(Script(refusal=refusal))
    response = await post(client, provider, ASKED)
    assert (response.status, await response.json()) == (refusal.status, refusal.body)
    assert response.headers.get("retry-after") == refusal.headers.get("retry-after")


async def test_a_client_that_leaves_is_noticed_between_tokens(
    client: aiohttp.ClientSession, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=1000, interval=0.02))
    response = await post(client, provider, STREAMED)
    await response.content.readuntil(b"t1 ")
    response.close()
    record = provider.requests[0]
    await record.wait_closed()
    assert record.closed_by is Party.CLIENT
    assert 2 <= len(record.tokens) < 1000


async def test_a_silent_upstream_is_left_by_its_client(client: aiohttp.ClientSession, provider: ProviderDouble) -> None:
    provider.next(Script(opening=Opening.SILENT))
    with pytest.raises(TimeoutError):
        await client.post(f"{provider.url}/chat/completions", json=ASKED, timeout=aiohttp.ClientTimeout(total=0.1))
    [record] = await provider.wait_requests(1)
    await record.wait_closed()
    assert (record.closed_by, record.tokens) == (Party.CLIENT, [])


async def test_a_reset_before_headers_is_an_error_on_the_connection(
    client: aiohttp.ClientSession, provider: ProviderDouble
) -> None:
    provider.next(Script(opening=Opening.RESET))
    with pytest.raises(aiohttp.ClientConnectionError):
        await post(client, provider, ASKED)
    assert provider.requests[0].closed_by is Party.DOUBLE


@pytest.mark.parametrize("body", [ASKED, STREAMED], ids=["unary", "stream"])
async def test_a_reset_in_the_middle_breaks_the_body(
    client: aiohttp.ClientSession, provider: ProviderDouble, body: dict[str, Any]
) -> None:
    provider.next(Script(ending=Ending.RESET))
    response = await post(client, provider, body)
    with pytest.raises(aiohttp.ClientError):
        await response.read()


@pytest.mark.parametrize("body", [ASKED, STREAMED], ids=["unary", "stream"])
async def test_truncated_json_ends_an_answer_that_arrives_whole(
    client: aiohttp.ClientSession, provider: ProviderDouble, body: dict[str, Any]
) -> None:
    provider.next(Script(ending=Ending.TRUNCATED))
    text = await (await post(client, provider, body)).text()
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.rsplit("data: ", 1)[-1])


@pytest.mark.parametrize(("ending", "has_reason"), [(Ending.NO_DONE, True), (Ending.CUT, False)])
async def test_a_stream_can_end_without_done(
    client: aiohttp.ClientSession, provider: ProviderDouble, ending: Ending, has_reason: bool
) -> None:
    provider.next(Script(ending=ending))
    chunks = await events(await post(client, provider, STREAMED))
    assert "[DONE]" not in chunks
    assert any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]) is has_reason


async def test_a_stalled_stream_has_all_tokens_and_no_end(
    client: aiohttp.ClientSession, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=2, ending=Ending.STALL))
    response = await post(client, provider, STREAMED)
    await response.content.readuntil(b"t1 ")
    assert not provider.requests[0].closed
    response.close()
    await provider.requests[0].wait_closed()


async def test_tool_calls_come_in_fragments_with_one_index(
    client: aiohttp.ClientSession, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=0, tool_calls=(ToolCall("weather", ('{"city":', '"Pune"}')),)))
    chunks = await events(await post(client, provider, {**ASKED, "stream": True}))
    deltas = [call for chunk in chunks[:-1] for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert deltas[0]["function"] == {"name": "weather", "arguments": ""}
    assert all("id" not in delta and delta["index"] == 0 for delta in deltas[1:])
    assert "".join(delta["function"]["arguments"] for delta in deltas) == '{"city":"Pune"}'
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_models_are_listed(client: aiohttp.ClientSession, provider: ProviderDouble) -> None:
    listed = await (await client.get(f"{provider.url}/models")).json()
    assert [model["id"] for model in listed["data"]] == ["gpt-double"]
