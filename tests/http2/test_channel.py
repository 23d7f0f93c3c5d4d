"""Several servers under one name, and servers that come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from bridge.caller import Refusal
from bridge.http2.addresses import Address, authority, resolve
from bridge.http2.channel import Channel
from tests.http2.raw_server import PLAIN, call, text
from tests.rest.waiting import until

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class _Server:
    """grpc's own server, which answers with its name."""

    def __init__(self, name: str) -> None:
        self.health = health.aio.HealthServicer()
        self._name = name
        self.port = 0

    async def start(self, port: int = 0) -> None:
        async def answer(_: bytes, __: Any) -> bytes:
            return StringValue(value=self._name).SerializeToString()

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: grpc.HandlerCallDetails) -> Any:
                return grpc.unary_unary_rpc_method_handler(answer) if details.method == "/s/M" else None

        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers([Handler()])
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        await self.health.set("", _SERVING)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Channel, _Server, _Server]]:
    """A channel to two servers, both used."""
    first, second = _Server("first"), _Server("second")
    await first.start()
    await second.start()
    channel = Channel(f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port}", PLAIN)
    try:
        async with asyncio.timeout(10):
            while len(await spread(channel)) < 2:
                continue
        yield channel, first, second
    finally:
        await channel.aclose()
        await first.stop()
        await second.stop()


async def spread(channel: Channel) -> Counter[str]:
    """Who answered ten calls."""
    return Counter([await text(channel) for _ in range(10)])


async def test_each_server_has_its_turn() -> None:
    async with two() as (channel, _, _):
        assert await spread(channel) == {"first": 5, "second": 5}


async def test_a_server_that_does_not_serve_is_left_out_until_it_does() -> None:
    async with two() as (channel, first, _):
        await first.health.set("", _NOT_SERVING)
        async with asyncio.timeout(10):
            while "first" in await spread(channel):
                continue
        await first.health.set("", _SERVING)
        async with asyncio.timeout(10):
            while "first" not in await spread(channel):
                continue


async def test_a_server_that_comes_back_is_used_again() -> None:
    async with two() as (channel, first, _):
        port = first.port
        await first.stop()
        async with asyncio.timeout(10):
            while "first" in await spread(channel):
                continue
        await first.start(port)
        async with asyncio.timeout(20):
            while "first" not in await spread(channel):
                continue


async def test_calls_wait_for_the_first_connection_and_fail_where_there_is_none() -> None:
    nobody = Channel("127.0.0.1:1", PLAIN)
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await text(nobody)
        assert caught.value.code == 14
    await nobody.aclose()
    with pytest.raises(Refusal) as caught:
        await text(nobody)
    assert caught.value.code == 1


async def test_a_name_that_nobody_has_is_told() -> None:
    channel = Channel("dns:///no.such.host.invalid:1", PLAIN)
    with pytest.raises(Refusal, match="the name is not known"):
        await text(channel)
    await channel.aclose()


async def test_a_channel_that_drains_lets_calls_end_and_closes() -> None:
    async with two() as (channel, _, _):
        started = call(channel)
        channel.drain()
        assert isinstance(await started.read(), StringValue)
        await until(lambda: all(server.task.done() for server in channel._servers.values()))
        with pytest.raises(Refusal):
            await text(channel)


@pytest.mark.parametrize(
    ("name", "addresses", "named"),
    [
        ("127.0.0.1:5", [Address("127.0.0.1", 5, "127.0.0.1")], "127.0.0.1:5"),
        ("dns:///127.0.0.1:5", [Address("127.0.0.1", 5, "127.0.0.1")], "127.0.0.1:5"),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", [Address(f"10.0.0.{n}", n, f"10.0.0.{n}") for n in (1, 2)], "10.0.0.1:1"),
        ("ipv6:[::1]:5", [Address("::1", 5, "::1")], "[::1]:5"),
        ("unix:/run/x", [Address("/run/x", 0, "localhost")], "localhost"),
        ("unix:///run/x", [Address("/run/x", 0, "localhost")], "localhost"),
        ("unix-abstract:x", [Address("\0x", 0, "localhost")], "localhost"),
    ],
)
async def test_a_name_means_addresses(name: str, addresses: list[Address], named: str) -> None:
    assert await resolve(name) == addresses
    assert authority(name) == named
