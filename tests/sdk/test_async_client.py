"""What the asynchronous client sends, how its streams end, and what it tells afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import Message

from tests.sdk.scripted import CALL_SECONDS, Context, Scripted, Stream, answering, eventually
from tollbridge.auth.v1 import auth_service_pb2
from tollbridge.chat.v1 import chat_pb2
from tollbridge.keys.v1 import key_pb2, key_service_pb2
from tollbridge_sdk import AsyncClient, CallCancelledError, DeadlineExceededError
from tollbridge_sdk.messages.auth import LoginRequest
from tollbridge_sdk.messages.chat import ChatMessage, CreateChatCompletionRequest
from tollbridge_sdk.messages.keys import CreateKeyRequest, ListKeysRequest

LIST, CREATE, LOGIN = "KeyService/ListKeys", "KeyService/CreateKey", "AuthService/Login"
CHAT, STREAM = "ChatService/CreateChatCompletion", "ChatService/StreamChatCompletion"
OUTCOME = ("tollbridge-outcome-bin", chat_pb2.Outcome(cost="0.01", available="9.99").SerializeToString())
QUESTION = CreateChatCompletionRequest(model="m", messages=[ChatMessage(role="user", content="Hi")])


async def test_the_key_of_the_environment_is_sent(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBRIDGE_API_KEY", " tb_env ")
    script.unary[LIST] = answering(key_service_pb2.ListKeysResponse())
    async with AsyncClient(script.target) as client:
        await client.keys.list_keys()
    async with AsyncClient(script.target, api_key="tb_own") as client:
        await client.keys.list_keys()
    assert [metadata["authorization"] for metadata in script.metadata(LIST)] == ["Bearer tb_env", "Bearer tb_own"]
    assert str(script.metadata(LIST)[0]["user-agent"]).startswith("tollbridge-sdk/")


async def test_methods_for_everyone_get_no_credential(script: Scripted) -> None:
    script.unary[LOGIN] = answering(auth_service_pb2.SessionTokens())
    async with AsyncClient(script.target, api_key="tb_own") as client:
        await client.auth.login(LoginRequest(email="a@example.com", password="p"))
    assert "authorization" not in script.metadata(LOGIN)[0]
    assert "idempotency-key" not in script.metadata(LOGIN)[0]


async def test_each_change_has_its_own_idempotency_key_unless_one_is_given(script: Scripted) -> None:
    script.unary[CREATE] = answering(key_service_pb2.CreateKeyResponse())
    async with AsyncClient(script.target) as client:
        await client.keys.create_key(CreateKeyRequest())
        await client.keys.create_key(CreateKeyRequest())
        await client.keys.create_key(CreateKeyRequest(), idempotency_key="mine")
    keys = [metadata["idempotency-key"] for metadata in script.metadata(CREATE)]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


async def test_metadata_of_the_client_and_of_the_call_are_sent(script: Scripted) -> None:
    script.unary[LIST] = answering(key_service_pb2.ListKeysResponse())
    async with AsyncClient(script.target, metadata=[("a", "1")]) as client:
        await client.keys.list_keys(metadata=[("b-bin", b"2")])
    assert script.metadata(LIST)[0]["a"] == "1"
    assert script.metadata(LIST)[0]["b-bin"] == b"2"


async def _silent(request: bytes, context: Context) -> Message:
    await asyncio.sleep(CALL_SECONDS)
    raise AssertionError("nobody waits that long")


@pytest.mark.parametrize("of_client", [True, False])
async def test_a_call_ends_at_its_deadline(script: Scripted, of_client: bool) -> None:
    script.unary[LIST] = _silent
    async with AsyncClient(script.target, timeout=0.1 if of_client else 60) as client:
        with pytest.raises(DeadlineExceededError):
            await (client.keys.list_keys() if of_client else client.keys.list_keys(timeout=0.1))


async def test_models_have_a_longer_deadline_of_their_own(script: Scripted) -> None:
    left: list[float] = []

    async def answer(request: bytes, context: Context) -> Message:
        left.append(context.time_remaining())
        return chat_pb2.ChatCompletion() if len(left) == 1 else key_service_pb2.ListKeysResponse()

    script.unary[CHAT] = script.unary[LIST] = answer
    async with AsyncClient(script.target) as client:
        await client.chat.create_chat_completion(QUESTION)
        await client.keys.list_keys()
    assert 500 < left[0] < 610
    assert 50 < left[1] < 70


async def test_an_answer_tells_what_it_came_to(script: Scripted) -> None:
    script.unary[CHAT] = answering(chat_pb2.ChatCompletion(id="c"), (OUTCOME, ("x-request-id", "req_1")))
    async with AsyncClient(script.target) as client:
        call = client.chat.create_chat_completion(QUESTION)
        before = call.outcome
        assert before is None
        assert (await call).id == "c"
        after = call.outcome
        assert after is not None
        assert (after.cost, after.available, call.request_id) == ("0.01", "9.99", "req_1")
        with pytest.raises(RuntimeError, match="made once"):
            await call


async def test_a_stream_is_read_to_its_end(script: Scripted) -> None:
    async def answer(request: bytes, context: Context) -> AsyncIterator[Message]:
        for name in ("a", "b"):
            yield chat_pb2.ChatCompletionChunk(id=name)
        context.set_trailing_metadata((OUTCOME,))

    script.streams[STREAM] = answer
    async with AsyncClient(script.target) as client:
        stream = client.chat.stream_chat_completion(QUESTION)
        assert [chunk.id async for chunk in stream] == ["a", "b"]
        assert stream.outcome is not None
        assert stream.outcome.cost == "0.01"


def endless(left: asyncio.Event) -> Stream:
    """Chunks until the caller leaves, which sets the event."""

    async def answer(request: bytes, context: Context) -> AsyncIterator[Message]:
        try:
            while True:
                yield chat_pb2.ChatCompletionChunk(id="a")
                await asyncio.sleep(0.01)
        finally:
            left.set()

    return answer


async def test_leaving_the_loop_ends_the_call(script: Scripted) -> None:
    left = asyncio.Event()
    script.streams[STREAM] = endless(left)
    async with AsyncClient(script.target) as client:
        stream = client.chat.stream_chat_completion(QUESTION)
        async for _ in stream:
            break
        await eventually(left)
        assert stream.outcome is None


async def test_an_error_in_the_loop_ends_the_call(script: Scripted) -> None:
    left = asyncio.Event()
    script.streams[STREAM] = endless(left)
    async with AsyncClient(script.target) as client:
        with pytest.raises(KeyError):
            async for _ in client.chat.stream_chat_completion(QUESTION):
                raise KeyError
        await eventually(left)


async def test_a_cancelled_task_ends_the_call_and_stays_cancelled(script: Scripted) -> None:
    left, begun = asyncio.Event(), asyncio.Event()
    script.streams[STREAM] = endless(left)
    async with AsyncClient(script.target) as client:

        async def read() -> None:
            async for _ in client.chat.stream_chat_completion(QUESTION):
                begun.set()

        task = asyncio.create_task(read())
        await eventually(begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(left)


async def test_leaving_the_block_ends_a_call_whose_iterator_is_held(script: Scripted) -> None:
    left = asyncio.Event()
    script.streams[STREAM] = endless(left)
    async with AsyncClient(script.target) as client:
        async with client.chat.stream_chat_completion(QUESTION) as stream:
            held = aiter(stream)
            await anext(held)
        await eventually(left)
        with pytest.raises(CallCancelledError):
            while True:
                await anext(held)


async def test_all_pages_are_read_as_they_are_needed(script: Scripted) -> None:
    async def answer(request: bytes, context: Context) -> Message:
        asked = key_service_pb2.ListKeysRequest.FromString(request)
        assert asked.page_size == 2
        first = int(asked.page_token or "0")
        rows = [key_pb2.Key(id=f"key_{number}") for number in (first, first + 1)]
        return key_service_pb2.ListKeysResponse(keys=rows, next_page_token=str(first + 2) if first < 4 else "")

    script.unary[LIST] = answer
    request = ListKeysRequest(page_size=2)
    async with AsyncClient(script.target) as client:
        assert [key.id async for key in client.keys.list_all_keys(request)] == [f"key_{row}" for row in range(6)]
        assert request.page_token == ""
        script.calls.clear()
        async for _ in client.keys.list_all_keys(request):
            break
        assert len(script.calls) == 1


async def test_a_closed_client_says_so(script: Scripted) -> None:
    client = AsyncClient(script.target)
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.keys.list_keys()
