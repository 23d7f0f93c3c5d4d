"""The typed RPCs are the same call: the same body upstream, the same answer, the same bill."""

from __future__ import annotations

import json

import pytest

from server.chat.errors import ProviderFailedError
from server.chat.typed_answer import chunk_of, to_completion
from server.chat.typed_request import to_body
from server.rpc.errors import InvalidArgumentError
from tests.chat.one_answer import OneAnswer
from tests.chat.workbench import MODEL, ModelRow, Workbench, outcome_of
from tests.support.provider_double import ProviderDouble, Script, ToolCall
from tollbridge.chat.v1.chat_pb2 import ChatMessage, ContentPart, FunctionCall
from tollbridge.chat.v1.chat_pb2 import ToolCall as TypedToolCall
from tollbridge.chat.v1.chat_service_pb2 import CreateChatCompletionRequest


def _request(**more: object) -> CreateChatCompletionRequest:
    messages = [ChatMessage(role="user", content="hello")]
    return CreateChatCompletionRequest(**{"model": MODEL, "messages": messages, **more})  # type: ignore[arg-type]


async def test_a_whole_answer(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=3, prompt_tokens=9, cached_tokens=4, reasoning_tokens=2))
    context = bench.context()
    answer = await bench.service.create_chat_completion(_request(max_tokens=50, temperature=0.7), context)
    assert provider.requests[0].json == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hello"}],
        "max_completion_tokens": 50,
        "temperature": 0.7,
    }
    assert answer.choices[0].message.content == "t0 t1 t2 "
    assert (answer.choices[0].message.role, answer.choices[0].finish_reason) == ("assistant", "stop")
    assert (answer.object, answer.created, answer.model) == ("chat.completion", 1_700_000_000, MODEL)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (9, 5, 14)
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert answer.usage.completion_tokens_details.reasoning_tokens == 2
    assert outcome_of(context).tokens.total == 14


@pytest.mark.parametrize("include_usage", [True, False])
async def test_pieces(bench: Workbench, provider: ProviderDouble, include_usage: bool) -> None:
    provider.next(Script(tokens=4))
    context = bench.context()
    stream = bench.service.stream_chat_completion(_request(include_usage=include_usage), context)
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.delta.content for chunk in chunks for choice in chunk.choices) == "t0 t1 t2 t3 "
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.HasField("usage") for chunk in chunks] == [False] * (len(chunks) - 1) + [include_usage]
    assert outcome_of(context).tokens.output == 4
    assert provider.requests[0].json["stream"] is True


async def test_pieces_of_tool_calls_keep_their_index(bench: Workbench, provider: ProviderDouble) -> None:
    calls = (ToolCall("a", ("1", "2"), id="x"), ToolCall("b", ("3",), id="y"))
    provider.next(Script(tokens=0, tool_calls=calls))
    stream = bench.service.stream_chat_completion(_request(), bench.context())
    deltas = [call async for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls]
    assert [(call.index, call.id, call.function.arguments) for call in deltas] == [
        (0, "x", ""),
        (0, "", "1"),
        (0, "", "2"),
        (1, "y", ""),
        (1, "", "3"),
    ]


def test_every_field_has_its_place() -> None:
    request = _request(
        messages=[
            ChatMessage(role="system", content="be brief", name="boss"),
            ChatMessage(
                role="user",
                parts=[
                    ContentPart(type="text", text="what is this?"),
                    ContentPart(type="image_url", value_json='{"url":"https://x.test/a.png","detail":"low"}'),
                ],
            ),
            ChatMessage(
                role="assistant",
                tool_calls=[TypedToolCall(id="c1", function=FunctionCall(name="f", arguments="{}"))],
            ),
            ChatMessage(role="tool", tool_call_id="c1", content=""),
        ],
        max_completion_tokens=7,
        n=2,
        top_p=0.5,
        stop=["a", "b"],
        presence_penalty=0.0,
        frequency_penalty=-1.5,
        seed=-(2**62),
        user="u",
        reasoning_effort="low",
        parallel_tool_calls=False,
        extra_json='{"tools":[],"metadata":{"n":12345678901234567890123}}',
    )
    body = to_body(request, streams=False)
    assert bytes(memoryview(body.members["metadata"])) == b'{"n":12345678901234567890123}'
    assert {key: value for key, value in body.values.items() if key != "metadata"} == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "be brief", "name": "boss"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "", "tool_call_id": "c1"},
        ],
        "max_completion_tokens": 7,
        "n": 2,
        "top_p": 0.5,
        "presence_penalty": 0.0,
        "frequency_penalty": -1.5,
        "seed": -(2**62),
        "user": "u",
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "stop": ["a", "b"],
        "tools": [],
    }


def test_absent_options_are_not_sent() -> None:
    assert set(to_body(_request(), streams=False).values) == {"model", "messages"}
    assert set(to_body(_request(), streams=True).values) == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    "extra",
    [
        "[]",
        "{",
        '{"model":"x"}',
        '{"Max_Tokens":1}',
        '{"stream":true}',
        '{"stream_options":{}}',
        '{"messages":[]}',
        "5",
    ],
)
def test_extra_keys_never_replace_a_field(extra: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        to_body(_request(extra_json=extra), streams=False)
    assert refused.value.fields[0].field == "extra_json"


def test_a_long_extra_key_is_named_by_its_beginning() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        to_body(_request(extra_json=json.dumps({"model" + " " * 1_000_000: 1})), streams=False)
    assert len(refused.value.public) < 500


def test_smuggled_extra_keys_are_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        to_body(_request(extra_json='{"api_base":"http://x"}'), streams=False)


@pytest.mark.parametrize("value", ["", "{", "nonsense"])
def test_a_part_must_be_json(value: str) -> None:
    message = ChatMessage(role="user", parts=[ContentPart(type="image_url", value_json=value)])
    with pytest.raises(InvalidArgumentError) as refused:
        to_body(_request(messages=[message]), streams=False)
    assert refused.value.fields[0].field == "messages[0].parts[0].value_json"


_HALF = b'{"id":"c\\ude00","choices":[{"index":0,"message":{"content":"a\\ud83d"},"delta":{"content":"a\\ud83d"}}]}'


async def test_half_an_emoji_is_read(bench: Workbench) -> None:
    async with OneAnswer(_HALF, "application/json") as url:
        await bench.add_model(ModelRow(id="half"), url)
        answer = await bench.service.create_chat_completion(_request(model="half"), bench.context())
    assert answer.choices[0].message.content == "a\ufffd"
    async with OneAnswer(b"data: " + _HALF + b"\n\ndata: [DONE]\n\n") as url:
        await bench.add_model(ModelRow(id="halves"), url)
        stream = bench.service.stream_chat_completion(_request(model="halves"), bench.context())
        assert [chunk.choices[0].delta.content async for chunk in stream] == ["a\ufffd"]
    assert [event.ending for event in await bench.events()] == ["complete"] * 2


_BEYOND = b'{"id":"c","choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2},"x":1e999}'


async def test_what_only_bytes_can_carry_is_the_providers_fault(bench: Workbench) -> None:
    """The provider did its work, so its count is paid; nobody can be shown a number that no double holds."""
    async with OneAnswer(_BEYOND, "application/json") as url:
        await bench.add_model(ModelRow(id="beyond"), url)
        with pytest.raises(ProviderFailedError):
            await bench.service.create_chat_completion(_request(model="beyond"), bench.context())
    event = await bench.event()
    assert (event.ending, event.prompt, event.output, event.estimated) == ("provider_failed", 4, 2, False)


def test_deep_logprobs_count_as_absent() -> None:
    deep = b'{"choices":[{"index":1,"logprobs":' + b"[" * 300 + b"]" * 300 + b"}]}"
    assert to_completion(deep, "p").choices[0].logprobs_json == ""


def test_answers_of_other_shapes_do_not_break_it() -> None:
    odd = {"id": 5, "created": "x", "choices": [{"index": -1, "message": [], "logprobs": {"content": []}}, 7], "new": 1}
    completion = to_completion(json.dumps(odd).encode(), "p")
    assert len(completion.choices) == 1
    assert completion.choices[0].logprobs_json == '{"content":[]}'
    assert chunk_of({"choices": None, "usage": None}).choices == []
    assert to_completion(b"[]", "p").id == ""


async def test_a_stream_that_is_cut_says_why(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=500, prompt_tokens=5, ignores_maximum=True))
    stream = bench.service.stream_chat_completion(_request(max_tokens=5), bench.context())
    chunks = [chunk async for chunk in stream]
    assert [chunk.tollbridge.cutoff for chunk in chunks if chunk.HasField("tollbridge")] == ["balance"]
    assert chunks[-1].choices[0].finish_reason == "length"
