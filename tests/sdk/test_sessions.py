"""A signed-in client renews its token once, in time, and loses none."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.message import Message

from tests.sdk.scripted import Context, Scripted, answering, eventually
from tollbridge.auth.v1 import auth_service_pb2
from tollbridge.keys.v1 import key_service_pb2
from tollbridge_sdk import AsyncClient, Client, Session, UnauthenticatedError

LIST, LOGIN, REFRESH, LOGOUT = (
    "KeyService/ListKeys",
    "AuthService/Login",
    "AuthService/Refresh",
    "AuthService/Logout",
)


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def signing_in(script: Scripted) -> Scripted:
    """Tokens that name their number, good for 100 seconds."""
    renewed = 0

    async def refresh(request: bytes, context: Context) -> Message:
        nonlocal renewed
        asked = auth_service_pb2.RefreshRequest.FromString(request)
        if asked.refresh_token != f"refresh_{renewed}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "used before")
        renewed += 1
        return tokens(renewed)

    script.unary[LOGIN] = answering(tokens(0))
    script.unary[REFRESH] = refresh
    script.unary[LIST] = answering(key_service_pb2.ListKeysResponse())
    script.unary[LOGOUT] = answering(auth_service_pb2.LogoutResponse())
    return script


def tokens(number: int) -> Message:
    return auth_service_pb2.SessionTokens(
        access_token=f"access_{number}", refresh_token=f"refresh_{number}", expires_in=100
    )


def sent(script: Scripted) -> list[str]:
    return [str(metadata.get("authorization")) for metadata in script.metadata(LIST)]


async def test_tokens_are_renewed_a_little_before_their_end(signing_in: Scripted) -> None:
    clock = Clock()
    kept: list[Session] = []
    async with AsyncClient(signing_in.target, clock=clock, session_changed=kept.append) as client:
        await client.sign_in("ada", "pw")
        for clock.now in (1089.0, 1090.0, 1095.0):
            await client.keys.list_keys()
        assert client.session == kept[-1]
    assert sent(signing_in) == ["Bearer access_0", "Bearer access_1", "Bearer access_1"]
    assert [session.refresh_token for session in kept] == ["refresh_0", "refresh_1"]


async def test_many_calls_at_once_renew_once(signing_in: Scripted) -> None:
    clock = Clock()
    async with AsyncClient(signing_in.target, clock=clock) as client:
        await client.sign_in("ada", "pw")
        clock.now = 1200.0
        await asyncio.gather(*(client.keys.list_keys() for _ in range(20)))
    assert len(signing_in.metadata(REFRESH)) == 1
    assert set(sent(signing_in)) == {"Bearer access_1"}


async def test_a_renewal_outlives_the_call_that_began_it(signing_in: Scripted) -> None:
    clock, asked, go_on = Clock(), asyncio.Event(), asyncio.Event()
    refresh = signing_in.unary[REFRESH]

    async def slow(request: bytes, context: Context) -> Message:
        asked.set()
        await eventually(go_on)
        return await refresh(request, context)

    signing_in.unary[REFRESH] = slow
    async with AsyncClient(signing_in.target, clock=clock) as client:
        await client.sign_in("ada", "pw")
        clock.now = 1200.0

        async def call() -> None:
            await client.keys.list_keys()

        left = asyncio.create_task(call())
        await eventually(asked)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        go_on.set()
        await client.keys.list_keys()
    assert sent(signing_in) == ["Bearer access_1"]


async def test_a_session_goes_on_in_another_client_and_can_be_ended(signing_in: Scripted) -> None:
    async with AsyncClient(
        signing_in.target, session=Session("access_0", "refresh_0", 2000.0), clock=Clock()
    ) as client:
        await client.keys.list_keys()
        await client.sign_out()
        assert client.session is None
        await client.sign_out()
    assert sent(signing_in) == ["Bearer access_0"]
    assert len(signing_in.metadata(LOGOUT)) == 1


async def test_a_dead_session_is_told(signing_in: Scripted) -> None:
    session = Session("access_x", "refresh_x", 0.0)
    async with AsyncClient(signing_in.target, session=session, clock=Clock()) as client:
        with pytest.raises(UnauthenticatedError, match="used before"):
            await client.keys.list_keys()
    assert "access_x" not in repr(session)


async def test_threads_renew_once_too(signing_in: Scripted) -> None:
    clock = Clock()
    with Client(signing_in.target, clock=clock) as client:
        await asyncio.to_thread(client.sign_in, "ada@example.com", "pw")
        clock.now = 1200.0
        await asyncio.gather(*(asyncio.to_thread(client.keys.list_keys) for _ in range(8)))
        await asyncio.to_thread(client.sign_out)
    assert len(signing_in.metadata(REFRESH)) == 1
    assert set(sent(signing_in)) == {"Bearer access_1"}
