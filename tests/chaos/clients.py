"""Clients of each kind: a stream over REST, a whole answer over REST, a stream over gRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import grpc

from tests.chaos.transcript import Call, Outcome
from tollbridge.chat.v1 import chat_pb2, chat_service_pb2, chat_service_pb2_grpc

SILENCE_SECONDS: Final = 12.0
"""A client that hears nothing for so long leaves: its worker may be stopped."""
_LOCAL: Final = (("grpc.use_local_subchannel_pool", 1),)

Client = Callable[[Call, str, str], Awaitable[None]]
"""Makes the call with this model and key, and writes down what came."""


class Clients:
    """All clients of one product; every call has a connection of its own, so that all workers get some."""

    def __init__(self, http: str, grpc_address: str, session: aiohttp.ClientSession) -> None:
        self._url = f"{http}/v1/chat/completions"
        self._grpc = grpc_address
        self._session = session

    async def stream(self, call: Call, model: str, key: str) -> None:
        """Server-sent events."""
        try:
            async with self._session.post(self._url, json=_body(call, model, stream=True), headers=_bearer(key)) as got:
                if got.status != 200:
                    await _note_refusal(call, got)
                    return None
                if call.wants_to_leave():
                    return _leave(call, got)
                async for line in got.content:
                    if line.startswith(b"data: ") and _read_event(call, line[6:].strip()):
                        return None
                    if call.wants_to_leave():
                        return _leave(call, got)
        except TimeoutError:
            call.outcome = Outcome.LEFT
        except aiohttp.ClientError as error:
            call.words = repr(error)

    async def unary(self, call: Call, model: str, key: str) -> None:
        """One JSON answer."""
        try:
            async with self._session.post(
                self._url, json=_body(call, model, stream=False), headers=_bearer(key)
            ) as got:
                if got.status != 200:
                    await _note_refusal(call, got)
                    return
                call.add(json.loads(await got.read())["choices"][0]["message"]["content"])
                call.outcome = Outcome.WHOLE
        except TimeoutError:
            call.outcome = Outcome.LEFT
        except aiohttp.ClientError as error:
            call.words = repr(error)

    async def grpc_stream(self, call: Call, model: str, key: str) -> None:
        """Typed chunks."""
        request = chat_service_pb2.CreateChatCompletionRequest(
            model=model,
            messages=[chat_pb2.ChatMessage(role="user", content=call.label)],
            max_tokens=_most(call),
        )
        async with grpc.aio.insecure_channel(self._grpc, _LOCAL) as channel:
            stub = chat_service_pb2_grpc.ChatServiceStub(channel)
            stream = stub.StreamChatCompletion(request, metadata=(("authorization", f"Bearer {key}"),))
            try:
                while True:
                    chunk = await asyncio.wait_for(stream.read(), SILENCE_SECONDS)
                    if not isinstance(chunk, chat_pb2.ChatCompletionChunk):
                        break
                    call.add("".join(choice.delta.content for choice in chunk.choices))
                    if call.wants_to_leave():
                        call.outcome = Outcome.LEFT
                        return
                call.outcome = Outcome.WHOLE
            except TimeoutError:
                call.outcome = Outcome.LEFT
            except grpc.aio.AioRpcError as error:
                call.words = repr(error)
                call.refusal = f"{error.code().name} ({(error.details() or '')[:50]})"
                call.outcome = Outcome.BROKEN if call.tokens else Outcome.REFUSED
            finally:
                stream.cancel()


def _most(call: Call) -> int:
    return max(16, call.script.tokens)


def _body(call: Call, model: str, *, stream: bool) -> dict[str, Any]:
    message = {"role": "user", "content": call.label}
    return {"model": model, "stream": stream, "max_tokens": _most(call), "messages": [message]}


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _leave(call: Call, response: aiohttp.ClientResponse) -> None:
    call.outcome = Outcome.LEFT
    response.close()


def _read_event(call: Call, data: bytes) -> bool:
    """Whether the stream is over."""
    if data == b"[DONE]":
        call.outcome = Outcome.WHOLE
        return True
    event = json.loads(data)
    if "error" in event:
        call.words = str(event["error"])
        return True
    for choice in event.get("choices") or ():
        call.add(choice["delta"].get("content") or "")
    return False


async def _note_refusal(call: Call, response: aiohttp.ClientResponse) -> None:
    call.outcome = Outcome.REFUSED
    call.words = (await response.text())[:300]
    call.refusal = str(response.status)
    call.retry_after = float(response.headers.get("retry-after", 0))
