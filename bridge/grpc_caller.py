"""Brings calls to servers elsewhere, over a grpc.aio channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from bridge.caller import Call, Metadata, Refusal, Reply, Sink
from bridge.catalog import Catalog, Method
from bridge.origin_proof import OriginProver
from bridge.target import Target

_DETAILS = "grpc-status-details-bin"
_READY_SECONDS = 1.0
_LONGEST_CALL_SECONDS = 2100.0


class GrpcCaller:
    """The caller of a bridge whose server is another process. Must be made inside the running loop."""

    def __init__(self, target: str | Target, catalog: Catalog, prove: OriginProver | None = None) -> None:
        """A `target` in words is a gRPC name, such as "127.0.0.1:50051", spoken to in plaintext.

        Without `prove` no origin is sent: the server takes the bridge for the origin of every call.
        """
        self._catalog = catalog
        self._prove = prove
        self._closed = False
        self._old: set[asyncio.Task[None]] = set()
        self._connect(Target(target) if isinstance(target, str) else target)

    def renew(self, target: Target) -> None:
        """Brings new calls over a new channel, for instance with another certificate; open ones end on the old one."""
        closing = asyncio.create_task(self._channel.close(_LONGEST_CALL_SECONDS))
        self._old.add(closing)
        closing.add_done_callback(self._old.discard)
        self._connect(target)

    def _connect(self, target: Target) -> None:
        self._channel = target.open()
        self._starters: dict[str, Callable[..., Reply]] = {
            method.rpc_path: self._starter(method) for method in self._catalog.methods
        }
        self._check_health: Any = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    def _starter(self, method: Method) -> Callable[..., Reply]:
        kind: Any = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        reply: Callable[[Any], Reply] = _GrpcReply if method.server_streaming else _OneReply
        stub: Any = kind(
            method.rpc_path, request_serializer=_serialize, response_deserializer=method.response_class.FromString
        )
        return lambda request, timeout, metadata: reply(stub(request, timeout=timeout, metadata=metadata))

    def call(self, call: Call) -> Reply:
        """Starts the call."""
        if self._closed:
            return _ClosedReply()
        proof = () if self._prove is None else self._prove(call.method, call.origin)
        metadata = grpc.aio.Metadata(*call.metadata, *proof)
        return self._starters[call.method](call.request, call.timeout, metadata)

    async def ready(self) -> bool:
        """Whether the server's health service says SERVING; a server without one serves while it answers."""
        try:
            answer = await self._check_health(health_pb2.HealthCheckRequest(), timeout=_READY_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def aclose(self) -> None:
        """Closes the channel and ends what runs over it; later calls are refused."""
        self._closed = True
        for closing in self._old:
            closing.cancel()
        await self._channel.close()


class _ClosedReply:
    """The answer of a call that came after the channel was closed."""

    async def initial_metadata(self) -> Metadata:
        """Raises `Refusal`."""
        raise self._refusal()

    async def read(self) -> Message | None:
        """Raises `Refusal`."""
        raise self._refusal()

    async def forward(self, sink: Sink) -> None:
        """Raises `Refusal`."""
        raise self._refusal()

    def trailing_metadata(self) -> Metadata:
        """None."""
        return ()

    async def aclose(self) -> None:
        """There is nothing to leave."""
        return

    @staticmethod
    def _refusal() -> Refusal:
        return Refusal(grpc.StatusCode.UNAVAILABLE.value[0], "The bridge is shutting down.")


class _OneReply:
    """The answer of a unary call: one exchange with grpc's core, where a stream of one message would take five."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._message: Message | None = None
        self._read = False
        self._initial: Metadata | None = None
        self._trailing: Metadata = ()

    async def initial_metadata(self) -> Metadata:
        """Waits for the whole answer. Raises `Refusal` where the call failed."""
        if self._initial is None:
            self._message = await _guard(self._call)
            self._initial = _pairs(await self._call.initial_metadata())
            self._trailing = _pairs(await self._call.trailing_metadata())
        return self._initial

    async def read(self) -> Message | None:
        """The message, then None. Raises `Refusal`."""
        if self._read:
            return None
        await self.initial_metadata()
        self._read = True
        return self._message

    async def forward(self, sink: Sink) -> None:
        """Gives the message to `sink`, where it was not read. Raises `Refusal`, and what `sink` raised."""
        await _forward(self, sink)

    def trailing_metadata(self) -> Metadata:
        """Trailing metadata; empty before the end."""
        return self._trailing

    async def aclose(self) -> None:
        """Cancels the call where it still runs."""
        self._call.cancel()


class _GrpcReply:
    """The answer of one streaming call."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._initial: Metadata | None = None
        self._ahead: Any = None
        """The first message (or the end), where it was read before it was asked for."""
        self._answers = False
        """Whether a message came, so that what the call began with is known."""
        self._trailing: Metadata = ()

    async def initial_metadata(self) -> Metadata:
        """Waits for the initial metadata. Raises `Refusal` where the call ended before any was sent."""
        if self._initial is None:
            initial = _pairs(await _guard(self._call.initial_metadata()))
            if not initial and not self._answers:
                # None was sent, or the call ended without any; which of the two only the first message tells.
                self._ahead = await _guard(self._call.read())
                if self._ahead is grpc.aio.EOF:
                    await self._raise_unless_ok()
            self._initial = initial
        return self._initial

    async def read(self) -> Message | None:
        """The next message, or None after the last. Raises `Refusal`."""
        message, self._ahead = self._ahead, None
        if message is None:
            message = await _guard(self._call.read())
        if message is not grpc.aio.EOF:
            assert isinstance(message, Message)
            self._answers = True
            return message
        await self._raise_unless_ok()
        self._trailing = _pairs(await self._call.trailing_metadata())
        return None

    async def forward(self, sink: Sink) -> None:
        """Gives each message that is left to `sink`. Raises `Refusal`, and what `sink` raised."""
        await _forward(self, sink)

    def trailing_metadata(self) -> Metadata:
        """Trailing metadata; empty before the end."""
        return self._trailing

    async def aclose(self) -> None:
        """Cancels the call where it still runs."""
        self._call.cancel()

    async def _raise_unless_ok(self) -> None:
        code = await self._call.code()
        if code is not grpc.StatusCode.OK:
            raise _refusal(code, await self._call.details(), await self._call.trailing_metadata())


async def _forward(reply: Reply, sink: Sink) -> None:
    while (message := await reply.read()) is not None:
        behind = sink(message)
        if behind is not None:
            await behind


async def _guard(wait: Any) -> Any:
    try:
        return await wait
    except grpc.aio.AioRpcError as error:
        raise _refusal(error.code(), error.details(), error.trailing_metadata()) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Not this task was cancelled but the call, by the channel that closed.
        raise Refusal(grpc.StatusCode.CANCELLED.value[0], "The call was cancelled.") from None


def _refusal(code: grpc.StatusCode, text: str | None, trailing: Any) -> Refusal:
    pairs = _pairs(trailing)
    details = next((value for name, value in pairs if name == _DETAILS and isinstance(value, bytes)), b"")
    return Refusal(code.value[0], text or "", details, [pair for pair in pairs if pair[0] != _DETAILS])


def _serialize(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


def _pairs(metadata: Any) -> Metadata:
    return [(str(name), value) for name, value in metadata or ()]
