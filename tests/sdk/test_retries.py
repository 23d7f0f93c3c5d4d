"""Only what may be repeated is, with the same idempotency key, and not for ever."""

from __future__ import annotations

import json

import grpc
import pytest

from tests.sdk.scripted import Scripted, failing
from tollbridge.auth.v1 import auth_service_pb2
from tollbridge.keys.v1 import key_service_pb2
from tollbridge_sdk import AsyncClient, Retries, UnavailableError
from tollbridge_sdk.messages.auth import LoginRequest
from tollbridge_sdk.messages.keys import CreateKeyRequest
from tollbridge_sdk.methods import Idempotency, Method
from tollbridge_sdk.options import Defaults, metadata_of
from tollbridge_sdk.retries import service_config

LIST, CREATE, LOGIN = "KeyService/ListKeys", "KeyService/CreateKey", "AuthService/Login"
QUICK = Retries(first_wait=0.01, longest_wait=0.02)
QUICK_READS = Retries(first_wait=0.01, longest_wait=0.02, keyed=False)


async def test_a_read_is_repeated_until_it_works(script: Scripted) -> None:
    script.unary[LIST] = failing(3, key_service_pb2.ListKeysResponse(next_page_token="x"))
    async with AsyncClient(script.target, retries=QUICK) as client:
        assert (await client.keys.list_keys()).next_page_token == "x"
    assert len(script.calls) == 4


async def test_a_read_is_given_up_after_the_last_attempt(script: Scripted) -> None:
    script.unary[LIST] = failing(9, key_service_pb2.ListKeysResponse())
    async with AsyncClient(script.target, retries=Retries(attempts=2, first_wait=0.01)) as client:
        with pytest.raises(UnavailableError):
            await client.keys.list_keys()
    assert len(script.calls) == 2


async def test_a_change_is_not_repeated_where_that_was_switched_off(script: Scripted) -> None:
    script.unary[CREATE] = failing(1, key_service_pb2.CreateKeyResponse())
    async with AsyncClient(script.target, retries=QUICK_READS) as client:
        with pytest.raises(UnavailableError):
            await client.keys.create_key(CreateKeyRequest())
    assert len(script.calls) == 1


async def test_a_change_is_repeated_with_the_same_key(script: Scripted) -> None:
    script.unary[CREATE] = failing(2, key_service_pb2.CreateKeyResponse(secret="s"))
    async with AsyncClient(script.target, retries=QUICK) as client:
        assert (await client.keys.create_key(CreateKeyRequest())).secret == "s"
    assert len({metadata["idempotency-key"] for metadata in script.metadata(CREATE)}) == 1
    assert len(script.calls) == 3


async def test_what_has_no_key_is_never_repeated(script: Scripted) -> None:
    script.unary[LOGIN] = failing(1, auth_service_pb2.SessionTokens())
    async with AsyncClient(script.target, retries=QUICK) as client:
        with pytest.raises(UnavailableError):
            await client.auth.login(LoginRequest())
    assert len(script.calls) == 1


async def test_other_failures_are_not_repeated(script: Scripted) -> None:
    script.unary[LIST] = failing(1, key_service_pb2.ListKeysResponse(), grpc.StatusCode.RESOURCE_EXHAUSTED)
    async with AsyncClient(script.target, retries=QUICK) as client:
        with pytest.raises(Exception, match="not now"):
            await client.keys.list_keys()
    assert len(script.calls) == 1


async def test_a_server_in_trouble_is_left_alone(script: Scripted) -> None:
    script.unary[LIST] = failing(1000, key_service_pb2.ListKeysResponse())
    async with AsyncClient(script.target, retries=QUICK) as client:
        for _ in range(10):
            with pytest.raises(UnavailableError):
                await client.keys.list_keys()
    # Without a budget it would be 40.
    assert len(script.calls) < 20


def test_a_stream_is_not_repeated_and_has_no_key_by_itself() -> None:
    stream = Method("a.B", "Watch", Idempotency.KEYED, streams=True)
    assert "methodConfig" not in json.loads(service_config([stream], Retries()))
    assert metadata_of(stream, Defaults(), {}, None) == []
    assert metadata_of(stream, Defaults(), {"idempotency_key": "mine"}, None) == [("idempotency-key", "mine")]


def test_without_repeats_the_config_has_none() -> None:
    method = Method("a.B", "C", Idempotency.SAFE)
    assert "methodConfig" not in json.loads(service_config([method], Retries(attempts=1)))
    assert json.loads(service_config([method], Retries()))["methodConfig"][0]["name"] == [
        {"service": "a.B", "method": "C"}
    ]


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"attempts": 6}, {"first_wait": 0.001}, {"budget": 1}])
def test_a_value_out_of_range_is_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retries(**wrong)  # type: ignore[arg-type]
