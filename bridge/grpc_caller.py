"""Brings calls to servers elsewhere, over HTTP/2."""

from __future__ import annotations

import asyncio
from typing import Final

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from bridge.caller import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES, Call, Metadata, Refusal, Reply, Sink
from bridge.catalog import Catalog, Method
from bridge.http2 import status
from bridge.http2.addresses import authority
from bridge.http2.call import GrpcCall
from bridge.http2.channel import Channel
from bridge.http2.head import WHOLE, head_of, metadata_fields, timeout_field
from bridge.origin_proof import OriginProver
from bridge.target import Target

_HEALTH: Final = "/grpc.health.v1.Health/Check"
_READY_SECONDS: Final = 1.0


class GrpcCaller:
    """The caller of a bridge whose server is another process. Must be made inside the running loop."""

    def __init__(self, target: str | Target, catalog: Catalog, prove: OriginProver | None = None) -> None:
        """A `target` in words is a gRPC name, such as "127.0.0.1:50051", spoken to in plaintext.

        Without `prove` no origin is sent: the server takes the bridge for the origin of every call.
        """
        self._methods: dict[str, Method] = {method.rpc_path: method for method in catalog.methods}
        self._prove = prove
        self._closed = False
        self._old: list[Channel] = []
        self._loop = asyncio.get_running_loop()
        self._connect(Target(target) if isinstance(target, str) else target)

    def renew(self, target: Target) -> None:
        """Brings new calls over new connections, for instance with another certificate; open ones end on the old."""
        self._channel.drain()
        self._old.append(self._channel)
        self._connect(target)

    def _connect(self, target: Target) -> None:
        self._channel = Channel(target.name, target.dial)
        named, secure = target.certificate_name or authority(target.name), target.tls is not None
        more = WHOLE if target.ours else b""
        self._heads = {path: head_of(path, named, secure=secure) + more for path in self._methods}
        self._heads[_HEALTH] = head_of(_HEALTH, named, secure=secure)

    def call(self, call: Call) -> Reply:
        """Starts the call."""
        if self._closed:
            return _Refused(Refusal(status.UNAVAILABLE, "The bridge is shutting down."))
        method = self._methods[call.method]
        try:
            request = call.request if isinstance(call.request, bytes) else call.request.SerializeToString()
            head = self._head(call, len(request))
        except Refusal as refusal:
            return _Refused(refusal)
        reply = GrpcCall(head, request, method.response_class.FromString, whole=not method.server_streaming)
        self._start(reply, call.timeout)
        return reply

    def _head(self, call: Call, size: int) -> bytes:
        if size > MAX_MESSAGE_BYTES:
            raise Refusal(status.RESOURCE_EXHAUSTED, f"The request is larger than {MAX_MESSAGE_BYTES} bytes.")
        if sum([len(name) + len(value) for name, value in call.metadata]) > MAX_METADATA_BYTES:
            raise Refusal(
                status.RESOURCE_EXHAUSTED, f"The headers are larger than {MAX_METADATA_BYTES} bytes together."
            )
        head = self._heads[call.method] + metadata_fields(call.metadata)
        if self._prove is not None:
            head += metadata_fields(self._prove(call.method, call.origin))
        return head if call.timeout is None else head + timeout_field(call.timeout)

    def _start(self, reply: GrpcCall, timeout: float | None) -> None:
        if timeout is not None:
            reply.expire_at(self._loop, self._loop.time() + timeout)
        self._channel.start(reply)

    async def ready(self) -> bool:
        """Whether the server's health service says SERVING; a server without one serves while it answers."""
        head = self._heads[_HEALTH] + timeout_field(_READY_SECONDS)
        check = GrpcCall(head, b"", health_pb2.HealthCheckResponse.FromString, whole=True)
        self._start(check, _READY_SECONDS)
        try:
            answer = await check.read()
        except Refusal as refusal:
            return refusal.code == status.UNIMPLEMENTED
        finally:
            await check.aclose()
        return isinstance(answer, health_pb2.HealthCheckResponse) and answer.status == answer.SERVING

    async def aclose(self) -> None:
        """Closes the connections and ends what runs over them; later calls are refused."""
        self._closed = True
        for channel in (*self._old, self._channel):
            await channel.aclose()


class _Refused:
    """The answer of a call that was never sent."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    async def initial_metadata(self) -> Metadata:
        """Raises `Refusal`."""
        raise self._refusal

    async def read(self) -> Message | None:
        """Raises `Refusal`."""
        raise self._refusal

    async def forward(self, sink: Sink) -> None:
        """Raises `Refusal`."""
        raise self._refusal

    def trailing_metadata(self) -> Metadata:
        """None."""
        return ()

    async def aclose(self) -> None:
        """There is nothing to leave."""
        return
