"""A hundred unary calls a second over every kind of connection, by clients that try nothing twice.

Kept-alive HTTP connections that are left when an answer says so, as HTTP clients do; a new HTTP connection for each
call; one gRPC channel; a new gRPC channel for each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import grpc

from tests.support.served import Served
from tollbridge.billing.v1 import billing_service_pb2, billing_service_pb2_grpc

_PATH = "/v1/billing/balance"
_ANSWER_SECONDS = 10.0


@dataclass
class Calls:
    """What came of the calls so far."""

    answered: dict[str, int] = field(default_factory=dict)
    """Calls that succeeded, by kind of connection."""
    failed: list[str] = field(default_factory=list)
    told_to_leave: int = 0
    """Answers that said `Connection: close`."""


class KeptAlive:
    """One HTTP connection after the other, each for as long as the server lets it."""

    def __init__(self, served: Served, calls: Calls) -> None:
        self._served = served
        self._calls = calls
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self) -> None:
        """One call; on the connection of the last one where that is still open. Raises whatever goes wrong."""
        try:
            await self._call()
        except BaseException:
            self.close()
            raise

    async def _call(self) -> None:
        if self._stream is not None and self._stream[0].at_eof():
            self.close()
        if self._stream is None:
            address = urlsplit(self._served.http)
            self._stream = await asyncio.open_connection(address.hostname, address.port)
        reader, writer = self._stream
        writer.write(
            f"GET {_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._served.api_key}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        assert head.startswith("http/1.1 200 "), (head, body)
        if "connection: close" in head:
            self._calls.told_to_leave += 1
            self.close()

    def close(self) -> None:
        """Leaves the connection."""
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None


@asynccontextmanager
async def steady_calls(served: Served, each_per_second: float = 12.5) -> AsyncIterator[Calls]:
    """Eight callers that each call `each_per_second` times a second for as long as the block runs."""
    calls = Calls()
    kept = [KeptAlive(served, calls) for _ in range(3)]
    stop = asyncio.Event()
    async with grpc.aio.insecure_channel(served.grpc) as channel:

        async def fresh_http() -> None:
            connection = KeptAlive(served, calls)
            try:
                await connection.call()
            finally:
                connection.close()

        async def fresh_grpc() -> None:
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(served.grpc, options) as own:
                await _balance(own, served)

        callers: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            *(("kept-alive HTTP", each.call) for each in kept),
            ("new HTTP connection", fresh_http),
            *[("gRPC channel", lambda: _balance(channel, served))] * 2,
            *[("new gRPC channel", fresh_grpc)] * 2,
        ]
        tasks = [
            asyncio.create_task(_repeat(kind, call, calls, stop, 1 / each_per_second, index / len(callers)))
            for index, (kind, call) in enumerate(callers)
        ]
        try:
            yield calls
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            for each in kept:
                each.close()


async def _repeat(
    kind: str, call: Callable[[], Awaitable[None]], calls: Calls, stop: asyncio.Event, pause: float, offset: float
) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + pause * offset
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await stop.wait()
        if stop.is_set():
            return
        due += pause
        begin = loop.time()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await call()
        except (OSError, EOFError, TimeoutError, AssertionError, grpc.RpcError) as error:
            calls.failed.append(f"{kind} after {loop.time() - begin:.3f} s: {error!r}")
        else:
            calls.answered[kind] = calls.answered.get(kind, 0) + 1


async def _balance(channel: grpc.aio.Channel, served: Served) -> None:
    stub = billing_service_pb2_grpc.BillingServiceStub(channel)
    metadata = (("authorization", f"Bearer {served.api_key}"),)
    await stub.GetBalance(billing_service_pb2.GetBalanceRequest(), metadata=metadata)
