"""Chat's edge: OpenAI's wire, and the typed one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from google.api.httpbody_pb2 import HttpBody

from server.chat.chat_calls import ChatCalls
from server.chat.event_stream import frame
from server.chat.governed_body import GovernedBody, read_body
from server.chat.typed_answer import to_completion
from server.chat.typed_chunks import TypedChunks
from server.chat.typed_request import to_body
from server.rpc.context import CallContext
from server.rpc.errors import InvalidArgumentError
from tollbridge.chat.v1.chat_pb2 import ChatCompletion, ChatCompletionChunk
from tollbridge.chat.v1.chat_service_pb2 import CreateChatCompletionRequest

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_BYTES_ON_LOOP: Final = 256 * 1024


class ChatService:
    """`tollbridge.chat.v1.ChatService`."""

    NAME: Final = "tollbridge.chat.v1.ChatService"

    def __init__(self, calls: ChatCalls) -> None:
        self._calls = calls

    async def chat_completions(self, request: HttpBody, context: CallContext) -> AsyncIterator[HttpBody]:
        """One message for a unary answer; for a stream, server-sent events: those that came together go together."""
        _check_content_type(request.content_type)
        body = await _read(len(request.data), lambda: read_body(request.data))
        async with self._calls.open(body, context) as call:
            content_type = _EVENTS
            while body.streams and (payloads := await call.read()):
                yield HttpBody(content_type=content_type, data=b"".join(map(frame, payloads)))
                content_type = ""
        if not body.streams:
            yield HttpBody(content_type=_JSON, data=call.answer)

    async def create_chat_completion(
        self, request: CreateChatCompletionRequest, context: CallContext
    ) -> ChatCompletion:
        """One whole answer."""
        body = await _read(request.ByteSize(), lambda: to_body(request, streams=False))
        async with self._calls.open(body, context) as call:
            return to_completion(call.answer, call.provider)

    async def stream_chat_completion(
        self, request: CreateChatCompletionRequest, context: CallContext
    ) -> AsyncIterator[ChatCompletionChunk]:
        """The answer in pieces; text that came together in one."""
        body = await _read(request.ByteSize(), lambda: to_body(request, streams=True))
        async with self._calls.open(body, context) as call:
            chunks = TypedChunks(call.provider)
            while payloads := await call.read():
                for chunk in chunks.read(payloads):
                    yield chunk


async def _read(size: int, read: Callable[[], GovernedBody]) -> GovernedBody:
    """The body, read in a thread where that takes long enough to keep others waiting."""
    return read() if size <= _BYTES_ON_LOOP else await asyncio.to_thread(read)


def _check_content_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind != _JSON:
        raise InvalidArgumentError.of("content_type", "must be application/json")
