"""Services that come with grpc are reached by whom they are for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from server.app import FOREIGN_SERVICES
from server.rpc import foreign_services
from server.rpc.foreign_services import CHANNELZ, add_foreign_services, is_local


@asynccontextmanager
async def served(*, production: bool) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server with nothing but the foreign services."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_foreign_services(server, FOREIGN_SERVICES, (), health.aio.HealthServicer(), production=production)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def servers(channel: grpc.aio.Channel) -> channelz_pb2.GetServersResponse:
    stub = channelz_pb2_grpc.ChannelzStub(channel)
    answer: channelz_pb2.GetServersResponse = await stub.GetServers(channelz_pb2.GetServersRequest(), timeout=5)
    return answer


async def reflected(channel: grpc.aio.Channel) -> list[str]:
    call: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
        f"/{reflection.SERVICE_NAME}/ServerReflectionInfo",
        lambda sent: sent.SerializeToString(),
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    stream = call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5)
    return [row.name async for answer in stream for row in answer.list_services_response.service]


async def health_of(channel: grpc.aio.Channel) -> health_pb2.HealthCheckResponse:
    call: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
        f"/{health.SERVICE_NAME}/Check",
        lambda sent: sent.SerializeToString(),
        health_pb2.HealthCheckResponse.FromString,
    )
    answer: health_pb2.HealthCheckResponse = await call(health_pb2.HealthCheckRequest(), timeout=5)
    return answer


async def test_outside_production_a_peer_of_this_machine_sees_channels() -> None:
    async with served(production=False) as channel:
        assert (await servers(channel)).server
        missing = channelz_pb2.GetServerRequest(server_id=2**40)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channelz_pb2_grpc.ChannelzStub(channel).GetServer(missing, timeout=5)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert CHANNELZ in await reflected(channel)


async def test_a_peer_from_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_services, "ip_of", lambda _peer: "10.1.2.3")
    async with served(production=False) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await servers(channel)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert await reflected(channel)


async def test_production_has_health_alone() -> None:
    async with served(production=True) as channel:
        for call in (servers(channel), reflected(channel)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert (await health_of(channel)).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        ("ipv4:127.0.0.1:5000", True),
        ("ipv4:127.8.8.8:5000", True),
        ("ipv6:%5B::1%5D:5000", True),
        ("ipv6:[::ffff:127.0.0.1]:5000", True),
        ("unix:/run/tollbridge.sock", True),
        ("ipv4:10.1.2.3:5000", False),
        ("ipv4:0.0.0.0:5000", False),
        ("ipv6:[::ffff:10.1.2.3]:5000", False),
        ("ipv6:[fe80::1]:5000", False),
        ("ipv4:127.0.0.1.example:5000", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_this_machine_is_known_by_the_connection(peer: str, local: bool) -> None:
    assert is_local(peer) is local
