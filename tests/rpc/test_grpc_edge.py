"""What only a real gRPC channel can send."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2, status_pb2

from server.rpc.grpc_edge import ip_of
from server.rpc.whole_answers import INITIAL, is_whole
from tests.rpc.conftest import grpc_server
from tests.rpc.echo import SERVICE, EchoServicer
from tests.rpc.echo import request as echo_request


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    async with grpc_server(EchoServicer()) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


async def failure(channel: grpc.aio.Channel, method: str, request: bytes, key: str | None) -> grpc.aio.AioRpcError:
    """How raw bytes are refused."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{method}")
    metadata = () if key is None else (("authorization", f"Bearer {key}"),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(request, metadata=metadata)
    return caught.value


async def test_malformed_bytes_are_invalid_without_type_names(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Guarded", b"\xff\xff\xff", "good")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Echo" not in str(error.details())


async def test_malformed_bytes_without_a_credential_are_unauthenticated(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Guarded", b"\xff\xff\xff", None)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    reason = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(reason)
    assert reason.reason == "CREDENTIAL_MISSING"


async def test_an_overloaded_server_turns_calls_away_before_looking_at_them() -> None:
    serving = grpc_server(EchoServicer(), overloaded=lambda: True)
    async with serving as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        error = await failure(channel, "Guarded", b"\xff\xff\xff", None)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    trailing = dict(error.trailing_metadata() or ())
    assert str(trailing["x-request-id"]).startswith("req_")
    details = trailing["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    reason, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    told = status_pb2.Status.FromString(details).details
    assert any(each.Unpack(reason) for each in told)
    assert reason.reason == "OVERLOADED"
    assert any(each.Unpack(retry) for each in told)
    assert retry.retry_delay.ToSeconds() == 1


async def test_protobuf_nested_beyond_its_depth_is_invalid(channel: grpc.aio.Channel) -> None:
    nested = b""
    for _ in range(120):
        nested = b"\x1b" + nested + b"\x1c"
    error = await failure(channel, "Echo", nested, None)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_two_credentials_are_none(channel: grpc.aio.Channel) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Guarded")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", metadata=(("authorization", "Bearer good"), ("authorization", "Bearer good")))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((("x-api-key", "good"),), grpc.StatusCode.OK),
        ((("authorization", "Basic x"), ("x-api-key", "good")), grpc.StatusCode.OK),
        ((("authorization", "Bearer wrong"), ("x-api-key", "good")), grpc.StatusCode.UNAUTHENTICATED),
        ((("x-api-key", "wrong"),), grpc.StatusCode.UNAUTHENTICATED),
        ((("x-api-key", " "),), grpc.StatusCode.UNAUTHENTICATED),
        ((("x-api-key", "good"), ("x-api-key", "good")), grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_a_key_may_come_as_x_api_key(
    channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], code: grpc.StatusCode
) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Guarded")
    calling = call(b"", metadata=metadata)
    assert await calling.code() is code


async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Nothing", b"", "good")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("peer", "ip"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("ipv6:[2001:db8::7]:1", "2001:db8::7"),
        ("unix:/run/x", ""),
        ("", ""),
    ],
)
def test_the_peer_text_gives_the_address(peer: str, ip: str) -> None:
    assert ip_of(peer) == ip


@pytest.mark.parametrize("method", ["Echo", "Count"])
async def test_only_who_asks_for_it_is_told_everything_at_the_end(channel: grpc.aio.Channel, method: str) -> None:
    asked = (("tollbridge-whole", "1"),)
    for metadata, first in ((), True), (asked, False):
        call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"/{SERVICE}/{method}")
        calling = call(b"", metadata=metadata)
        assert ("x-request-id" in dict(await calling.initial_metadata() or ())) is first
        async for _ in calling:
            continue
        trailing = list(await calling.trailing_metadata() or ())
        assert trailing[-1][0] in {"x-echo-end", "x-echo-bin"}
        assert ("x-request-id" in dict(trailing)) is not first
        if not first:
            assert trailing[0][0] == INITIAL
            assert "x-request-id" in [name for name, _ in trailing[1 : 1 + int(trailing[0][1])]]


async def test_a_stream_s_beginning_is_told_at_once_where_it_has_messages(channel: grpc.aio.Channel) -> None:
    call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"/{SERVICE}/Count")
    message = echo_request(count=2, text="n").SerializeToString()
    calling = call(message, metadata=(("tollbridge-whole", "1"),))
    assert "x-request-id" in dict(await calling.initial_metadata() or ())
    assert len([answer async for answer in calling]) == 2
    assert [name for name, _ in await calling.trailing_metadata() or ()] == ["x-echo-end"]


def test_what_a_bridge_collects_is_whole() -> None:
    assert is_whole(HttpBody(content_type="application/json"))
    assert not is_whole(HttpBody(content_type="text/event-stream; charset=utf-8"))
    assert not is_whole(echo_request())
