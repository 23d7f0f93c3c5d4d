"""The caller that speaks gRPC, against a small generic server of grpc.aio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc

from bridge.caller import Call, Origin, Refusal
from bridge.grpc_caller import GrpcCaller
from tests.rest.waiting import until_still
from tests.transcoding.forms import forms_catalog, message_class

_SERVICE = "tests.forms.v1.FormsService"
_ORIGIN = Origin("192.0.2.1", "http", "req_1")
Behaviour = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]


@asynccontextmanager
async def _connected(behaviour: Behaviour) -> AsyncIterator[GrpcCaller]:
    """A caller whose server does the same for every method: `behaviour` writes the messages."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            if not details.method.startswith(f"/{_SERVICE}/"):
                return None
            return grpc.unary_stream_rpc_method_handler(
                behaviour,
                request_deserializer=message_class("GetThingRequest").FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([Handler()])
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    caller = GrpcCaller(f"127.0.0.1:{port}", forms_catalog())
    try:
        yield caller
    finally:
        await caller.aclose()
        await server.stop(None)


def _call(method: str = "GetThing", timeout: float | None = None, **fields: Any) -> Call:
    metadata = [("authorization", "Bearer x"), ("traceparent", "00-a")]
    return Call(f"/{_SERVICE}/{method}", message_class("GetThingRequest")(**fields), metadata, _ORIGIN, timeout)


def _thing(**fields: Any) -> Any:
    return message_class("Thing")(**fields)


async def test_a_unary_call_brings_message_and_metadata_both_ways() -> None:
    async def behave(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        sent = dict(context.invocation_metadata() or ())
        await context.send_initial_metadata([("x-first", sent["authorization"]), ("x-second", sent["traceparent"])])
        context.set_trailing_metadata([("x-last", "2"), ("x-raw-bin", b"\x00\xff")])
        await context.write(_thing(id=request.id))

    async with _connected(behave) as caller:
        reply = caller.call(_call(id="a"))
        message: Any = await reply.read()
        assert message.id == "a"
        assert {("x-first", "Bearer x"), ("x-second", "00-a")} <= set(await reply.initial_metadata())
        assert await reply.read() is None
        assert {("x-last", "2"), ("x-raw-bin", b"\x00\xff")} <= set(reply.trailing_metadata())
        await reply.aclose()
        await reply.aclose()


async def test_a_refusal_carries_its_details() -> None:
    info = error_details_pb2.ErrorInfo(reason="MODEL_NOT_FOUND", domain="tollbridge")
    status = status_pb2.Status(code=5, message="no such model")
    status.details.add().Pack(info)

    async def behave(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        trailing = (("grpc-status-details-bin", status.SerializeToString()), ("x-last", "1"))
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such model", trailing)

    async with _connected(behave) as caller:
        reply = caller.call(_call())
        with pytest.raises(Refusal) as caught:
            await reply.read()
        assert (caught.value.code, caught.value.message) == (5, "no such model")
        assert status_pb2.Status.FromString(caught.value.details) == status
        assert list(caught.value.trailing_metadata) == [("x-last", "1")]
        with pytest.raises(Refusal):
            await caller.call(_call()).initial_metadata()


async def test_a_stream_can_fail_after_its_first_message() -> None:
    async def behave(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.write(_thing(id="1"))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    async with _connected(behave) as caller:
        reply = caller.call(_call("WatchThings"))
        assert await reply.read() == _thing(id="1")
        with pytest.raises(Refusal) as caught:
            await reply.read()
        assert caught.value.code == 14


async def test_a_deadline_ends_the_call_on_both_sides() -> None:
    ended = asyncio.Event()

    async def behave(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with _connected(behave) as caller:
        with pytest.raises(Refusal) as caught:
            await caller.call(_call(timeout=0.05)).read()
        assert caught.value.code == 4
        await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_leaving_ends_the_call_on_the_server(how: str) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def behave(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with _connected(behave) as caller:
        reply = caller.call(_call())
        reading = asyncio.create_task(reply.read())
        await asyncio.wait_for(started.wait(), 5)
        if how == "cancel":
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await reply.aclose()
        else:
            await reply.aclose()
            with pytest.raises(Refusal) as caught:
                await reading
            assert caught.value.code == 1
        await asyncio.wait_for(ended.wait(), 5)
        await reply.aclose()


async def test_an_open_reply_ends_with_its_caller() -> None:
    started = asyncio.Event()

    async def behave(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        started.set()
        await asyncio.Event().wait()

    async with _connected(behave) as caller:
        reading = asyncio.create_task(caller.call(_call()).read())
        await asyncio.wait_for(started.wait(), 5)
        await caller.aclose()
        with pytest.raises(Refusal) as caught:
            await reading
        assert caught.value.code == 1


async def test_a_server_cannot_run_far_ahead_of_a_reader_that_is_slow() -> None:
    written = 0
    size = 8192
    many = 2000

    async def behave(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        nonlocal written
        for _number in range(many):
            await context.write(_thing(bytes_value=b"x" * size))
            written += 1

    async with _connected(behave) as caller:
        reply = caller.call(_call("WatchThings"))
        for _number in range(5):
            await reply.read()
        await until_still(lambda: written)
        assert written * size < 1_000_000
        await reply.aclose()


async def test_readiness_is_the_health_services_word() -> None:
    async def behave(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        return

    async with _connected(behave) as caller:
        assert await caller.ready()
    nobody = GrpcCaller("127.0.0.1:1", forms_catalog())
    assert not await nobody.ready()
    await nobody.aclose()
