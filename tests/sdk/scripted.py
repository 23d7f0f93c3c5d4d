"""A gRPC server on a loopback port that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import Message

Context = grpc.aio.ServicerContext[Any, Any]
Unary = Callable[[bytes, Context], Awaitable[Message]]
Stream = Callable[[bytes, Context], AsyncIterator[Message]]

CALL_SECONDS: Final = 10.0


@dataclass
class Scripted:
    """What the server does and what it saw."""

    target: str = ""
    unary: dict[str, Unary] = field(default_factory=dict)
    """By method, for instance "KeyService/ListKeys"."""
    streams: dict[str, Stream] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, str | bytes]]] = field(default_factory=list)
    """Every call's method and metadata, in order."""

    def metadata(self, method: str) -> list[dict[str, str | bytes]]:
        """The metadata of all calls of a method."""
        return [metadata for name, metadata in self.calls if name == method]


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, script: Scripted) -> None:
        self._script = script

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        name = str(handler_call_details.method).rpartition(".")[2]
        pairs: Any = handler_call_details.invocation_metadata or ()
        self._script.calls.append((name, {str(key): value for key, value in pairs}))
        if name in self._script.unary:
            return grpc.unary_unary_rpc_method_handler(self._script.unary[name], None, serialize)
        if name in self._script.streams:
            return grpc.unary_stream_rpc_method_handler(self._script.streams[name], None, serialize)
        return None


def serialize(message: Message) -> bytes:
    return message.SerializeToString()


@asynccontextmanager
async def scripted_server(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[Scripted]:
    """Serves until the block ends, as plaintext without credentials."""
    script = Scripted()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_Handlers(script),))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    script.target = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield script
    finally:
        await server.stop(None)


def answering(message: Message, trailing: tuple[tuple[str, str | bytes], ...] = ()) -> Unary:
    """Always the same answer."""

    async def answer(request: bytes, context: Context) -> Message:
        del request
        context.set_trailing_metadata(trailing)
        return message

    return answer


def failing(times: int, then: Message, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Unary:
    """Fails so many times, then answers."""
    left = times

    async def answer(request: bytes, context: Context) -> Message:
        nonlocal left
        del request
        if left:
            left -= 1
            await context.abort(code, "not now")
        return then

    return answer


async def eventually(event: asyncio.Event) -> None:
    """Waits for what must come."""
    async with asyncio.timeout(CALL_SECONDS):
        await event.wait()
