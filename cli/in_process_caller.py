"""Brings the bridge's calls to the server in this process, without a socket between them.

The only place that knows both sides. It keeps the promises of `bridge.caller`: the message object itself passes over,
at most one undelivered message waits, and the servicer runs in a task of its own, so that a reader may be cancelled
at any await and leaving cancels the servicer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from google.protobuf.message import Message
from google.rpc import status_pb2

from bridge.caller import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES, Call, Metadata, Refusal, Sink
from server.foundation.clock import Clock
from server.rpc import grpc_edge
from server.rpc.errors import ApiError, InvalidArgumentError, ShuttingDownError, TooLargeError, UnimplementedError
from server.rpc.methods import Method
from server.rpc.pipeline import Ending, Incoming, Pipeline
from server.rpc.principal import Origin

_CANCELLED: Final = 1


class InProcessCaller:
    """`bridge.caller.Caller` over the pipeline of this process."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        pipeline: Pipeline,
        clock: Clock,
        server_ready: Callable[[], Awaitable[bool]],
    ) -> None:
        self._methods = methods
        self._pipeline = pipeline
        self._clock = clock
        self._server_ready = server_ready
        self._open: set[InProcessReply] = set()
        self._closed = False

    def call(self, call: Call) -> InProcessReply:
        """Starts the call in a task of its own."""
        reply = InProcessReply(self._open.discard)
        refusal = self._refusal(call)
        if refusal is not None:
            reply.finish(Ending(refusal.to_status(call.origin.request_id), ()))
            return reply
        origin = Origin(call.origin.ip, call.origin.scheme, call.origin.request_id)
        incoming = Incoming(
            method=self._methods[call.method],
            request=call.request,
            metadata=grpc_edge.trusted_metadata(call.metadata),
            origin=origin,
            deadline=None if call.timeout is None else self._clock.monotonic() + call.timeout,
        )
        self._open.add(reply)
        reply.start(self._pipeline, incoming)
        return reply

    async def ready(self) -> bool:
        """Whether the server's own parts (database, cache) answer."""
        return not self._closed and await self._server_ready()

    async def aclose(self) -> None:
        """Ends what is still open with CANCELLED; later calls are refused."""
        self._closed = True
        for reply in tuple(self._open):
            await reply.aclose()

    def _refusal(self, call: Call) -> ApiError | None:
        if self._closed:
            return ShuttingDownError()
        if call.method not in self._methods:
            return UnimplementedError(call.method)
        size = 0
        for name, value in call.metadata:
            size += len(name) + len(value)
        if size > MAX_METADATA_BYTES:
            return InvalidArgumentError(f"The headers are larger than {MAX_METADATA_BYTES} bytes together.")
        if isinstance(call.request, Message) and call.request.ByteSize() > MAX_MESSAGE_BYTES:
            return TooLargeError(MAX_MESSAGE_BYTES)
        return None


class InProcessReply:
    """One call: the pipeline writes on one side, the bridge reads on the other."""

    def __init__(self, forget: Callable[[InProcessReply], None]) -> None:
        self._forget = forget
        self._task: asyncio.Task[None] | None = None
        self._initial: Metadata | None = None
        self._message: Message | None = None
        self._ending: Ending | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._sink_failure: BaseException | None = None

    def start(self, pipeline: Pipeline, incoming: Incoming) -> None:
        """Runs the servicer. Called once."""
        self._task = asyncio.get_running_loop().create_task(self._run(pipeline, incoming))

    def finish(self, ending: Ending) -> None:
        """No more messages come."""
        self._ending = ending
        self._forget(self)
        _wake(self._reader)

    # What the pipeline writes to.

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        self._initial = tuple(metadata)
        _wake(self._reader)

    async def send(self, message: Message) -> None:
        while self._sink is None:
            if self._message is None:
                self._message = message
                _wake(self._reader)
                return
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        try:
            behind = self._sink(message)
            if behind is not None:
                await behind
        except Exception as error:  # noqa: BLE001 - the bridge's failure, raised where it forwards
            self._sink_failure = error
            _wake(self._reader)
            # The bridge leaves the call now, which cancels the servicer.
            await asyncio.get_running_loop().create_future()

    # What the bridge reads.

    async def initial_metadata(self) -> Metadata:
        while self._initial is None:
            if self._ending is not None:
                raise self._refusal(self._ending)
            await self._wait()
        return self._initial

    async def read(self) -> Message | None:
        while self._message is None:
            if self._ending is not None:
                if self._ending.status is None:
                    return None
                raise self._refusal(self._ending)
            await self._wait()
        message, self._message = self._message, None
        _wake(self._writer)
        return message

    async def forward(self, sink: Sink) -> None:
        # What was sent before comes first; the servicer may send another meanwhile.
        while self._message is not None:
            message, self._message = self._message, None
            _wake(self._writer)
            behind = sink(message)
            if behind is not None:
                await behind
        self._sink = sink
        while self._ending is None and self._sink_failure is None:
            await self._wait()
        if self._sink_failure is not None:
            raise self._sink_failure
        if self._ending is not None and self._ending.status is not None:
            raise self._refusal(self._ending)

    def trailing_metadata(self) -> Metadata:
        return () if self._ending is None else self._ending.trailing_metadata

    async def aclose(self) -> None:
        task = self._task
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait((task,))

    async def _wait(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        await self._reader

    async def _run(self, pipeline: Pipeline, incoming: Incoming) -> None:
        ending: Ending | None = None
        try:
            ending = await pipeline.run(incoming, self)
        finally:
            # A task that failed keeps the frames that it failed in, and so this: that would be a circle.
            self._task = None
            self.finish(Ending(_left(), ()) if ending is None else ending)

    @staticmethod
    def _refusal(ending: Ending) -> Refusal:
        status = ending.status
        assert status is not None, "only failed calls are refusals"
        return Refusal(status.code, status.message, status.SerializeToString(), ending.trailing_metadata)


def _left() -> status_pb2.Status:
    return status_pb2.Status(code=_CANCELLED, message="The call was left before its end.")


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
