"""The gRPC side of the pipeline: a generic handler for grpc.aio.

Requests reach the pipeline as bytes, so that a call without a credential is refused before anything is parsed, and
malformed bytes are INVALID_ARGUMENT (grpc.aio's own answer would be UNKNOWN with the exception's text).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from server.foundation.clock import SystemClock
from server.rpc.context import MetadataPair
from server.rpc.errors import OverloadedError
from server.rpc.idempotency.caller_key import METADATA_KEY
from server.rpc.methods import Method
from server.rpc.origin_proof import FORWARDED, OriginProof, Peer
from server.rpc.pipeline import Ending, Incoming, Pipeline
from server.rpc.whole_answers import at_the_end, is_whole, wants_whole

MAX_MESSAGE_BYTES: Final = 33 * 1024 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024

SERVER_OPTIONS: Final[Sequence[tuple[str, Any]]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 2_100_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
"""Limits that both transports share, and what grpc's defaults would break: a burst of streams was dropped at the
default of pending requests."""

_CREDENTIALS: Final = ("authorization", "x-api-key")
_RESERVED: Final = ("tollbridge-", "grpc-", ":")

_ServicerContext = grpc.aio.ServicerContext[Any, Any]


class GrpcEdge(grpc.GenericRpcHandler):
    """Feeds calls of every served method into the pipeline. Unknown methods are grpc's own UNIMPLEMENTED."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        pipeline: Pipeline,
        new_request_id: Callable[[], str],
        proof: OriginProof | None = None,
        overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Without a `proof` no peer is believed anything. `overloaded` is asked at the beginning of each call whether
        it is to be turned away."""
        self._pipeline = pipeline
        self._overloaded = overloaded
        self.last_begin = 0.0
        """When the newest call began, monotonic seconds."""
        self._proof = proof or OriginProof(SystemClock())
        self._new_request_id = new_request_id
        self._handlers = {path: self._handler(method) for path, method in methods.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a method, for grpc."""
        return self._handlers.get(handler_call_details.method)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        if method.unary is not None:

            async def unary(request: bytes, context: _ServicerContext) -> Message | None:
                outgoing = _UnaryOutgoing(context)
                await self._serve(method, request, context, outgoing)
                return outgoing.reply

            return grpc.unary_unary_rpc_method_handler(unary, None, _serialize)

        async def stream(request: bytes, context: _ServicerContext) -> None:
            await self._serve(method, request, context, _StreamOutgoing(context))

        return grpc.unary_stream_rpc_method_handler(stream, None, _serialize)

    async def _serve(
        self, method: Method, request: bytes, context: _ServicerContext, outgoing: _UnaryOutgoing | _StreamOutgoing
    ) -> None:
        self.last_begin = time.monotonic()
        if self._overloaded():
            request_id = self._new_request_id()
            await _abort(context, Ending(OverloadedError().to_status(request_id), ()), request_id)
            return
        remaining: float | None = context.time_remaining()
        pairs: Sequence[tuple[str, str | bytes]] = context.invocation_metadata() or ()  # type: ignore[assignment]
        outgoing.whole = wants_whole(pairs)
        incoming = Incoming(
            method=method,
            request=request,
            metadata=trusted_metadata(pairs),
            origin=self._proof.origin_of(method.path, pairs, self._peer(context), self._new_request_id),
            deadline=None if remaining is None else time.monotonic() + remaining,
        )
        ending = await self._pipeline.run(incoming, outgoing)
        if ending.status is None:
            trailing = tuple(ending.trailing_metadata)
            context.set_trailing_metadata(trailing if outgoing.kept is None else at_the_end(outgoing.kept, trailing))
            return
        await _abort(context, ending, incoming.origin.request_id)

    def _peer(self, context: _ServicerContext) -> Peer:
        names = names_of(context.auth_context()) if self._proof.looks_at_names else ()
        return Peer(ip_of(context.peer()), names)


def trusted_metadata(pairs: Sequence[tuple[str, str | bytes]]) -> dict[str, str | bytes]:
    """The caller's metadata without reserved and forwarded names, which nobody may write; a repeated name: its last.

    A credential that stands there twice is none: nobody knows which one is meant.
    """
    found: dict[str, str | bytes] = {}
    twice: set[str] = set()
    for name, value in pairs:
        if name in FORWARDED or name.startswith(_RESERVED):
            continue
        if name in found:
            twice.add(name)
        found[name] = value
    for name in twice.intersection(_CREDENTIALS):
        del found[name]
    if METADATA_KEY in twice:
        # No text, so it is refused where it is read.
        found[METADATA_KEY] = b""
    return found


def ip_of(peer: str) -> str:
    """The address in grpc's peer text: `ipv4:127.0.0.1:5000`, `ipv6:%5B::1%5D:5000`, `unix:…` (empty)."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return rest.rpartition(":")[0].strip("[]")


def names_of(auth_context: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """The names of the peer's verified certificate: its common name and its alternative names."""
    found = (*auth_context.get("x509_common_name", ()), *auth_context.get("x509_subject_alternative_name", ()))
    return frozenset(name.decode("utf-8", "replace") for name in found)


class _UnaryOutgoing:
    """Keeps the one message for grpc to send."""

    def __init__(self, context: _ServicerContext) -> None:
        self._context = context
        self.reply: Message | None = None
        self.whole = False
        """Whether the caller wants to be told all at the end."""
        self.kept: Sequence[MetadataPair] | None = None
        """Initial metadata that goes out at the end."""

    async def send_initial_metadata(self, metadata: Sequence[MetadataPair]) -> None:
        if self.whole:
            self.kept = metadata
            return
        await self._context.send_initial_metadata(tuple(metadata))

    async def send(self, message: Message) -> None:
        self.reply = message


class _StreamOutgoing:
    """Writes each message as it comes; a write returns when flow control lets it through."""

    def __init__(self, context: _ServicerContext) -> None:
        self._context = context
        self.whole = False
        """Whether the caller wants to be told all at the end, of answers that are no events."""
        self.kept: Sequence[MetadataPair] | None = None
        """Initial metadata that goes out at the end, or with the first message."""

    async def send_initial_metadata(self, metadata: Sequence[MetadataPair]) -> None:
        if self.whole:
            self.kept = metadata
            return
        await self._context.send_initial_metadata(tuple(metadata))

    async def send(self, message: Message) -> None:
        if self.whole:
            self.whole = False
            if self.kept is not None and not is_whole(message):
                initial, self.kept = self.kept, None
                await self._context.send_initial_metadata(tuple(initial))
        await self._context.write(message)


async def _abort(context: _ServicerContext, ending: Ending, request_id: str) -> None:
    assert ending.status is not None, "only a failure is told by an abort"
    trailing = (
        *ending.trailing_metadata,
        ("x-request-id", request_id),
        ("grpc-status-details-bin", ending.status.SerializeToString()),
    )
    await context.abort(_CODES[ending.status.code], _public_text(ending.status), trailing)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _public_text(status: status_pb2.Status) -> str:
    return str(status.message)


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
