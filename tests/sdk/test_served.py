"""Both clients over the running product."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from tests.support.served import NEW_PASSWORD, Served
from tollbridge.chat.v1 import chat_pb2, chat_service_pb2
from tollbridge_sdk import (
    AsyncClient,
    Client,
    ErrorReason,
    InsufficientFundsError,
    InvalidArgumentError,
    NotFoundError,
    UnauthenticatedError,
)
from tollbridge_sdk.messages.auth import RegisterRequest
from tollbridge_sdk.messages.chat import ChatMessage, CreateChatCompletionRequest
from tollbridge_sdk.messages.keys import CreateKeyRequest, GetKeyRequest, ListKeysRequest, RevokeKeyRequest

QUESTION = CreateChatCompletionRequest(
    model="gpt-4o-mini", messages=[ChatMessage(role="user", content="Hello")], max_tokens=20
)
DEAR = CreateChatCompletionRequest(
    model="org/renamed", messages=[ChatMessage(role="user", content="Hello")], max_tokens=1024
)


async def test_a_person_signs_in_makes_a_key_and_chats_with_it(served: Served) -> None:
    name = f"ada-{uuid.uuid4().hex[:12]}"
    async with AsyncClient(served.grpc) as person:
        await person.auth.register(RegisterRequest(email=f"{name}@example.com", username=name, password=NEW_PASSWORD))
        with pytest.raises(UnauthenticatedError) as refused:
            await person.sign_in(name, "wrong password")
        assert refused.value.reason is ErrorReason.LOGIN_INVALID
        await person.sign_in(name, NEW_PASSWORD)
        for number in range(2):
            await person.keys.create_key(CreateKeyRequest(name=f"key {number}"))
        made = await person.keys.create_key(CreateKeyRequest(name="key 2"))
        page = ListKeysRequest(page_size=1)
        assert [key.name async for key in person.keys.list_all_keys(page)] == ["key 2", "key 1", "key 0"]
        assert made.secret not in repr(made)
        assert made.key is not None
        await person.keys.revoke_key(RevokeKeyRequest(id=made.key.id))
        with pytest.raises(NotFoundError):
            await person.keys.get_key(GetKeyRequest(id="key_unknown"))
        with pytest.raises(InvalidArgumentError) as invalid:
            await person.keys.create_key(CreateKeyRequest(scopes=["everything"]))
        assert [row.field for row in invalid.value.fields] == ["scopes[0]"]
        await person.sign_out()
        with pytest.raises(UnauthenticatedError):
            await person.keys.list_keys()


async def test_a_call_tells_its_outcome_whole_and_streamed(served: Served) -> None:
    async with AsyncClient(served.grpc, api_key=served.api_key) as client:
        call = client.chat.create_chat_completion(QUESTION)
        assert (await call).choices
        stream = client.chat.stream_chat_completion(QUESTION)
        text = "".join([choice.delta.content async for chunk in stream for choice in chunk.choices if choice.delta])
        assert text
        for outcome in (call.outcome, stream.outcome):
            assert outcome is not None
            assert Decimal(outcome.cost) > 0
            assert outcome.ending == "complete"
        assert call.request_id.startswith("req_")
        assert stream.request_id.startswith("req_")


async def test_too_little_money_says_how_much(served: Served) -> None:
    name = f"poor-{uuid.uuid4().hex[:12]}"
    async with AsyncClient(served.grpc) as client:
        await client.auth.register(RegisterRequest(email=f"{name}@example.com", password=NEW_PASSWORD))
        await client.sign_in(f"{name}@example.com", NEW_PASSWORD)
        with pytest.raises(InsufficientFundsError) as refused:
            await client.chat.create_chat_completion(DEAR)
    assert refused.value.required is not None
    assert refused.value.available is not None
    assert refused.value.required > refused.value.available
    assert refused.value.currency == "USD"
    assert refused.value.request_id.startswith("req_")


def test_the_same_without_asyncio(served: Served) -> None:
    request = chat_service_pb2.CreateChatCompletionRequest(
        model="gpt-4o-mini", messages=[chat_pb2.ChatMessage(role="user", content="Hello")], max_tokens=20
    )
    with Client(served.grpc, api_key=served.api_key) as client:
        assert "gpt-4o-mini" in [model.id for model in client.models.list_models().data]
        stream = client.chat.stream_chat_completion(request)
        assert "".join(choice.delta.content for chunk in stream for choice in chunk.choices)
        assert stream.outcome is not None
        assert stream.outcome.cost
        request.model = "no-such-model"
        with pytest.raises(NotFoundError) as refused:
            client.chat.create_chat_completion(request)
        assert refused.value.reason is ErrorReason.MODEL_NOT_FOUND
