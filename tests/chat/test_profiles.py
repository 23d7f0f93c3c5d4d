"""A profile's prompt goes before every conversation, is paid for, and stays out of the caller's reach."""

from __future__ import annotations

import json

import pytest

from server.chat.answer_name import AnswerName
from server.chat.errors import ContextLengthExceededError, ProviderRefusedError, UnboundableInputError
from server.models.errors import ModelNotFoundError
from server.rpc.errors import InvalidArgumentError
from tests.chat.workbench import INPUT_NANO, MODEL, OUTPUT_NANO, PROMPT, ModelRow, Workbench, ask, outcome_of
from tests.support.provider_double import ProviderDouble, Refusal, Script, Usage
from tollbridge.chat.v1.chat_pb2 import ChatMessage
from tollbridge.chat.v1.chat_service_pb2 import CreateChatCompletionRequest

NAME = "lynxa-pro"
SYSTEM = {"role": "system", "content": PROMPT}


async def test_the_prompt_comes_first_and_the_callers_system_message_stays(
    bench: Workbench, provider: ProviderDouble
) -> None:
    await bench.add_profile()
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "who are you"}]
    provider.next(Script(tokens=4, prompt_tokens=31))
    answer = await bench.chat(ask(model=NAME, messages=messages))
    assert provider.requests[0].json == {"model": MODEL, "messages": [SYSTEM, *messages]}
    assert answer.json["model"] == NAME
    assert answer.json["choices"][0]["message"]["content"] == "t0 t1 t2 t3 "
    assert (answer.outcome.model, answer.outcome.profile) == (MODEL, NAME)
    assert await bench.spent() == 31 * INPUT_NANO + 4 * OUTPUT_NANO
    row = await bench.owner.fetchrow("SELECT model_id, profile FROM usage_event WHERE org_id = $1", bench.org_id)
    assert row is not None
    assert tuple(row) == (MODEL, NAME)


async def test_everything_else_reaches_the_provider_byte_for_byte(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    rest = b'"seed":12345678901234567890123,"vendor":{"b":1.0e2, "a":[ 2 ]},"prompt_cache_key":"k","temperature":0.70'
    messages = b'[ {"role":"user","content":"h\\u0069","x":1.50} , {"role":"user","content":"\\/"}]'
    await bench.chat(b'{"model":"lynxa-pro","messages": ' + messages + b"," + rest + b"}")
    expected = b'"messages":[' + json.dumps(SYSTEM, separators=(",", ":"), ensure_ascii=False).encode()
    assert provider.requests[0].body == b'{"model":"gpt-double",' + expected + b"," + messages[1:] + b"," + rest + b"}"


async def test_every_chunk_says_the_profiles_name(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    provider.next(Script(tokens=9, usage=Usage.MISSING))
    answer = await bench.chat(ask(model=NAME, stream=True, stream_options={"include_usage": True}))
    assert {chunk["model"] for chunk in answer.chunks} == {NAME}
    assert MODEL.encode() not in answer.body
    assert answer.text == "".join(f"t{number} " for number in range(9))


async def test_the_typed_calls_are_the_same(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    request = CreateChatCompletionRequest(model=NAME, messages=[ChatMessage(role="user", content="hello")])
    context = bench.context()
    whole = await bench.service.create_chat_completion(request, context)
    assert (whole.model, outcome_of(context).profile) == (NAME, NAME)
    pieces = [piece async for piece in bench.service.stream_chat_completion(request, bench.context())]
    assert {piece.model for piece in pieces} == {NAME}
    for sent in provider.requests:
        assert sent.json["messages"] == [SYSTEM, {"role": "user", "content": "hello"}]


async def test_its_tokens_are_held_and_billed(bench: Workbench, provider: ProviderDouble) -> None:
    """Where the provider does not say what it used, the prompt is counted like any other text."""
    long = "word " * 2000
    await bench.add_profile(prompt=long)
    provider.next(Script(tokens=1, usage=Usage.MISSING))
    await bench.chat(ask(model=NAME))
    event = await bench.event()
    assert event.prompt > 2000
    await bench.add_model(ModelRow(id="narrow", context_tokens=1000, max_output_tokens=500), provider.url)
    await bench.add_profile("narrow-pro", "narrow", prompt=long)
    with pytest.raises(ContextLengthExceededError):
        await bench.chat(ask(model="narrow-pro"))


async def test_temperature_and_output_are_defaults_and_bounds(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile(temperature=0.3, max_output_tokens=40)
    await bench.chat(ask(model=NAME))
    await bench.chat(ask(model=NAME, temperature=1.5, max_tokens=7))
    await bench.chat(ask(model=NAME, temperature=None, max_completion_tokens=9000))
    sent = [(request.json["temperature"], request.json["max_completion_tokens"]) for request in provider.requests]
    assert sent == [(0.3, 40), (1.5, 7), (0.3, 40)]


async def test_a_key_names_the_profile_and_not_its_model(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    await bench.chat(ask(model=NAME), bench.context(models=frozenset({NAME})))
    for name, allowed in ((NAME, MODEL), (MODEL, NAME)):
        with pytest.raises(ModelNotFoundError):
            await bench.chat(ask(model=name), bench.context(models=frozenset({allowed})))
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "key",
    [
        *("system", "System", "system_prompt", "instructions", "prompt", "chat_template", "chat-template-kwargs"),
        *(
            "echo",
            "prompt_logprobs",
            "return_token_ids",
            "truncate_prompt_tokens",
            "preset",
            "__verbose",
            "Temperature",
        ),
        *("documents", "options", "raw", "transforms", "ｓｙｓｔｅｍ", "Messages", " messages", "response_fields"),
    ],
)
async def test_no_key_touches_the_prompt(bench: Workbench, provider: ProviderDouble, key: str) -> None:
    await bench.add_profile()
    with pytest.raises(InvalidArgumentError) as caught:
        await bench.chat(ask(model=NAME, **{key: "x"}))
    assert caught.value.fields[0].field == key
    assert provider.requests == []


async def test_what_comes_twice_reaches_nobody_twice(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    body = (
        b'{"model":"gpt-double","messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]'
    )
    await bench.chat(body + b',"model":"lynxa-pro"}')
    assert provider.requests[0].json["messages"] == [SYSTEM, {"role": "user", "content": "b"}]
    assert provider.requests[0].body.count(b'"messages"') == 1


async def test_the_prompt_is_one_of_2048_messages(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    message = {"role": "user", "content": "x"}
    with pytest.raises(InvalidArgumentError, match="1 to 2047 messages"):
        await bench.chat(ask(model=NAME, messages=[message] * 2048))
    await bench.chat(ask(model=NAME, messages=[message] * 2047))
    assert len(provider.requests[0].json["messages"]) == 2048


async def test_places_in_errors_are_the_callers(bench: Workbench) -> None:
    await bench.add_profile()
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    with pytest.raises(UnboundableInputError, match=r"messages\[0\]\.content\[0\]"):
        await bench.chat(ask(model=NAME, messages=[{"role": "user", "content": picture}]))


async def test_a_refusal_does_not_quote_the_prompt(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    refusal = Refusal.of(400, f"messages[0] {PROMPT} is too long", "invalid_request_error", "c", "messages[0].content")
    provider.next(Script(refusal=refusal))
    with pytest.raises(ProviderRefusedError) as caught:
        await bench.chat(ask(model=NAME))
    status = caught.value.to_status("req_1").SerializeToString()
    assert b"Lynxa" not in status
    assert [row.field for row in caught.value.fields] == ["messages"]


async def test_an_edit_reaches_the_next_call_while_others_run(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_profile()
    provider.next(Script(tokens=40, interval=0.005))
    running = bench.start(ask(model=NAME, stream=True), bench.context())
    await anext(running)
    await bench.add_profile(prompt="Another identity.")
    await bench.chat(ask(model=NAME))
    rest = b"".join([message.data async for message in running])
    assert rest.endswith(b"data: [DONE]\n\n")
    assert NAME.encode() in rest
    prompts = [request.json["messages"][0]["content"] for request in provider.requests]
    assert prompts == [PROMPT, "Another identity."]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"id":"1","model":"m","choices":[]}', b'{"id":"1","model":"p","choices":[]}'),
        (b'{ "model" :\t"m\\u00e9" , "x":1.0}', b'{ "model" :\t"p" , "x":1.0}'),
        (b'{"id":"1"}', b'{"id":"1","model":"p"}'),
        (b'{"a":{"model":"deep"},"model":"m"}', b'{"a":{"model":"deep"},"model":"p"}'),
        (b'{"a":{"model":"deep"}}', b'{"a":{"model":"deep"},"model":"p"}'),
        (b'{"model":null,"a":"\\"model\\":\\"m\\""}', b'{"model":"p","a":"\\"model\\":\\"m\\""}'),
        (b"[DONE]", b"[DONE]"),
    ],
)
def test_the_name_is_the_only_edit(payload: bytes, expected: bytes) -> None:
    name = AnswerName("p")
    assert [name.write(payload), name.write(payload)] == [expected, expected]
    assert AnswerName(None).write(payload) == payload
