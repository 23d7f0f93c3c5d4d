"""OpenAI's wire: what goes up is what came, what comes back is what the provider said."""

from __future__ import annotations

import json
import threading

import pytest

from server.chat import service, typed_request
from server.chat.governed_body import GovernedBody, read_body
from server.models.errors import ModelNotFoundError, ModelUnpricedError
from server.rpc.errors import InvalidArgumentError
from tests.chat.workbench import API_KEY, INPUT_NANO, MODEL, OUTPUT_NANO, ModelRow, Workbench, ask
from tests.support.provider_double import ProviderDouble, Script, ToolCall, Usage
from tollbridge.chat.v1.chat_pb2 import ChatMessage
from tollbridge.chat.v1.chat_service_pb2 import CreateChatCompletionRequest


async def test_a_unary_answer_is_the_providers_bytes(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=5, prompt_tokens=11))
    answer = await bench.chat(ask())
    assert answer.messages[0].content_type == "application/json"
    assert answer.json["choices"][0]["message"]["content"] == "t0 t1 t2 t3 t4 "
    assert answer.json["usage"]["completion_tokens"] == 5
    assert int(answer.headers["openai-processing-ms"]) >= 0
    event = await bench.event()
    assert (event.prompt, event.output, event.ending, event.estimated) == (11, 5, "complete", False)
    assert event.provider_call_id == answer.json["id"]
    assert await bench.spent() == event.cost == 11 * INPUT_NANO + 5 * OUTPUT_NANO


async def test_a_stream_ends_with_done_and_hides_usage_nobody_asked_for(
    bench: Workbench, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=9, prompt_tokens=3))
    answer = await bench.chat(ask(stream=True))
    assert answer.messages[0].content_type == "text/event-stream"
    assert answer.text == "".join(f"t{number} " for number in range(9))
    assert answer.payloads.count(b"[DONE]") == 1
    assert all("usage" not in chunk and chunk["choices"] for chunk in answer.chunks)
    assert provider.requests[0].json["stream_options"] == {"include_usage": True}
    event = await bench.event()
    assert (event.prompt, event.output, event.streamed) == (3, 9, True)
    assert await bench.spent() == 3 * INPUT_NANO + 9 * OUTPUT_NANO


async def test_usage_that_was_asked_for_comes_as_the_last_chunk(bench: Workbench, provider: ProviderDouble) -> None:
    answer = await bench.chat(ask(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}))
    assert [chunk["usage"] for chunk in answer.chunks[:-1]] == [None] * (len(answer.chunks) - 1)
    assert answer.chunks[-1]["choices"] == []
    assert answer.chunks[-1]["usage"] == provider.requests[0].reported_usage
    assert provider.requests[0].json["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_usage_that_the_provider_does_not_give_is_told_as_counted(
    bench: Workbench, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=4, usage=Usage.MISSING))
    answer = await bench.chat(ask(stream=True, stream_options={"include_usage": True}))
    assert answer.chunks[-1]["choices"] == []
    assert answer.chunks[-1]["usage"]["completion_tokens"] == 4
    assert answer.chunks[-1]["id"] == answer.chunks[0]["id"]
    event = await bench.event()
    assert event.estimated
    assert answer.chunks[-1]["usage"]["prompt_tokens"] == event.prompt > 0


async def test_unknown_members_reach_the_provider_byte_for_byte(bench: Workbench, provider: ProviderDouble) -> None:
    rest = (
        b'"seed":12345678901234567890123,"metadata":{"z":1.0e2,"a":"\\u00e9\\/","z2":[ 1 , 2]},'
        b'"logit_bias":{"50256":-100},"vendor":{"deep":{"b":1,"a":2}},"temperature":0.70,"stop":["\\n"]'
    )
    body = b'{"model":"gpt-double","messages":[{"role":"user","content":"h\\u0069"}],' + rest + b"}"
    await bench.chat(body)
    assert provider.requests[0].body == body


async def test_everything_openai_knows_survives(bench: Workbench, provider: ProviderDouble) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    more = {
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "seed": 7,
        "tools": tools,
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "stop": "END",
        "max_completion_tokens": 50,
        "reasoning_effort": "low",
        "service_tier": "flex",
        "user": "u1",
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
    }
    answer = await bench.chat(ask(**more))
    assert provider.requests[0].json == ask(**more)
    assert len(answer.json["choices"]) == 2


async def test_tool_calls_stream_in_fragments(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=0, tool_calls=(ToolCall("weather", ('{"city":', '"Pune"}')),)))
    answer = await bench.chat(ask(stream=True, tools=[{"type": "function", "function": {"name": "weather"}}]))
    calls = [call for chunk in answer.chunks for c in chunk["choices"] for call in c["delta"].get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city":"Pune"}'
    assert calls[0]["id"] == "call_double"


async def test_the_model_goes_up_by_its_upstream_name(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_model(ModelRow(id="alias", upstream="real-name"), provider.url)
    answer = await bench.chat(ask(model="alias"))
    assert provider.requests[0].json["model"] == "real-name"
    assert answer.outcome.model == "alias"


async def test_only_our_credential_goes_up(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.chat(ask())
    headers = provider.requests[0].headers
    assert headers["authorization"] == f"Bearer {API_KEY}"
    assert headers["accept-encoding"] == "identity"
    assert set(headers) <= {
        *("host", "authorization", "accept", "accept-encoding", "content-type", "content-length", "user-agent"),
    }


async def test_the_outcome_says_what_it_cost(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=10, prompt_tokens=100, cached_tokens=40, reasoning_tokens=6))
    answer = await bench.chat(ask(stream=True))
    outcome = answer.outcome
    tokens = outcome.tokens
    assert (tokens.input, tokens.cache_read, tokens.output, tokens.reasoning, tokens.total) == (60, 40, 10, 6, 116)
    nano = 60 * INPUT_NANO + 40 * INPUT_NANO // 2 + 16 * OUTPUT_NANO
    assert await bench.spent() == nano
    assert outcome.cost == f"0.{nano:09d}".rstrip("0")
    assert outcome.available == f"{(10 * 10**9 - nano) / 10**9:.9f}".rstrip("0")
    assert (outcome.currency, outcome.provider, outcome.ending) == ("USD", MODEL, "complete")
    assert outcome.usage_event_id.startswith("use_")


async def test_today_is_told_to_whoever_asks(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=7, prompt_tokens=11), Script(tokens=7, prompt_tokens=11), Script(tokens=1))
    await bench.chat(ask())
    context = bench.context()
    context.metadata["x-tollbridge-quota"] = "today"
    told = (await bench.chat(ask(stream=True), context)).outcome
    assert (told.requests_used_today, told.tokens_used_today) == (2, 36)
    assert not told.HasField("requests_left_today")
    assert not (await bench.chat(ask())).outcome.HasField("requests_used_today")


async def test_streamed_and_unstreamed_cost_the_same(bench: Workbench, provider: ProviderDouble) -> None:
    script = Script(tokens=33, prompt_tokens=77, cached_tokens=10, reasoning_tokens=5)
    provider.next(script, script)
    first, second = await bench.chat(ask()), await bench.chat(ask(stream=True))
    assert first.outcome.cost == second.outcome.cost


async def test_an_unknown_model_is_named(bench: Workbench, provider: ProviderDouble) -> None:
    with pytest.raises(ModelNotFoundError) as refused:
        await bench.chat(ask(model="nothing"))
    assert refused.value.fields[0].field == "model"
    with pytest.raises(ModelNotFoundError):
        await bench.chat(ask(), bench.context(models=frozenset({"another"})))
    assert provider.requests == []
    assert await bench.events() == []


async def test_an_unpriced_model_is_refused_and_a_free_one_answers(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_model(ModelRow(id="unpriced", priced=False), provider.url)
    await bench.add_model(ModelRow(id="gratis", priced=False, free=True), provider.url)
    with pytest.raises(ModelUnpricedError):
        await bench.chat(ask(model="unpriced"))
    answer = await bench.chat(ask(model="gratis"))
    assert answer.outcome.cost == "0"
    assert await bench.spent() == 0
    assert (await bench.event()).output == 8


async def test_a_body_that_is_not_json_is_refused(bench: Workbench) -> None:
    for body in (
        b"",
        b"[]",
        b"{",
        b'{"model":"\xff"}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b"[" * 100_000,
        b'{"a":"\\ud800"}',
    ):
        with pytest.raises(InvalidArgumentError):
            await bench.chat(body)


async def test_a_provider_without_stream_usage_is_not_asked_for_it(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_model(ModelRow(id="plain", stream_usage=False), provider.url)
    answer = await bench.chat(ask(model="plain", stream=True, stream_options={"include_usage": True}))
    assert "stream_options" not in provider.requests[0].json
    assert answer.chunks[-1]["usage"]["completion_tokens"] == 8
    assert (await bench.event()).estimated


@pytest.mark.parametrize(("size", "off_loop"), [(200 * 1024, False), (300 * 1024, True)])
@pytest.mark.parametrize("typed", [True, False])
async def test_large_bodies_are_read_off_the_loop(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, size: int, off_loop: bool, typed: bool
) -> None:
    threads: list[bool] = []

    def read(data: bytes) -> GovernedBody:
        threads.append(threading.current_thread() is not threading.main_thread())
        return read_body(data)

    for module in (service, typed_request):
        monkeypatch.setattr(module, "read_body", read)
    text = "word " * (size // 5)
    if typed:
        request = CreateChatCompletionRequest(model=MODEL, messages=[ChatMessage(role="user", content=text)])
        await bench.service.create_chat_completion(request, bench.context())
    else:
        await bench.chat(ask(messages=[{"role": "user", "content": text}]))
    assert threads == [off_loop]


async def test_a_large_prompt_crosses_whole(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_model(ModelRow(id="long", context_tokens=4_000_000, max_output_tokens=100), provider.url)
    content = "word " * 600_000
    await bench.chat(json.dumps(ask(model="long") | {"messages": [{"role": "user", "content": content}]}).encode())
    assert provider.requests[0].json["messages"][0]["content"] == content
