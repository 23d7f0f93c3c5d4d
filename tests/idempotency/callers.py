"""Calls with an Idempotency-Key, over each transport, and all that came back of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tests.support.clients import http_request, method_descriptor
from tollbridge.chat.v1 import chat_service_pb2

CREATE_KEY: Final = "tollbridge.keys.v1.KeyService/CreateKey"
UPDATE_KEY: Final = "tollbridge.keys.v1.KeyService/UpdateKey"
CREATE_CHAT: Final = "tollbridge.chat.v1.ChatService/CreateChatCompletion"
STREAM_CHAT: Final = "tollbridge.chat.v1.ChatService/StreamChatCompletion"
MODEL: Final = "gpt-4o-mini"
SECONDS: Final = 40.0


@dataclass(frozen=True, slots=True)
class Came:
    """What one call brought."""

    status: int
    """HTTP status or gRPC code."""
    reason: str
    """As in ErrorReason, lower case; empty for a success."""
    body: bytes
    """The answer or the error as it came, keep-alives left out; over gRPC the messages one after the other."""
    replayed: bool
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return not self.reason


class Caller(Protocol):
    """One transport."""

    name: str

    async def call(self, method: str, request: Mapping[str, Any], key: str, once: str | None) -> Came:
        """Calls a unary method; `once` is the Idempotency-Key."""
        ...

    async def chat(self, body: Mapping[str, Any], key: str, once: str | None) -> Came:
        """A chat call; a stream where the body says so."""
        ...


class Rest:
    """Over the bridge."""

    def __init__(self, name: str, session: aiohttp.ClientSession, url: str) -> None:
        self.name = name
        self._session = session
        self._url = url

    async def call(self, method: str, request: Mapping[str, Any], key: str, once: str | None) -> Came:
        return await self.send(*http_request(method, request), key, once)

    async def chat(self, body: Mapping[str, Any], key: str, once: str | None) -> Came:
        return await self.send("POST", "/v1/chat/completions", body, key, once)

    async def send(self, verb: str, path: str, body: object, key: str, once: str | None) -> Came:
        """Any request; bytes are sent as they are."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if once is not None:
            headers["Idempotency-Key"] = once
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        timeout = aiohttp.ClientTimeout(SECONDS)
        async with self._session.request(verb, self._url + path, data=data, headers=headers, timeout=timeout) as answer:
            content = (await answer.read()).replace(b": ping\n", b"")
            reason = ""
            if answer.status >= 400:
                reason = json.loads(content)["error"]["code"]
            replayed = answer.headers.get("Idempotent-Replayed") == "true"
            shown = {name.lower(): value for name, value in answer.headers.items()}
            return Came(answer.status, reason, content, replayed, shown)


class Grpc:
    """Native gRPC."""

    name = "grpc"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def call(self, method: str, request: Mapping[str, Any], key: str, once: str | None) -> Came:
        message = message_factory.GetMessageClass(method_descriptor(method).input_type)()
        json_format.ParseDict(dict(request), message)
        return await self.send(method, message, _metadata(key, once))

    async def chat(self, body: Mapping[str, Any], key: str, once: str | None) -> Came:
        fields = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        message = chat_service_pb2.CreateChatCompletionRequest()
        json_format.ParseDict(fields, message)
        return await self.send(STREAM_CHAT if body.get("stream") else CREATE_CHAT, message, _metadata(key, once))

    async def send(self, method: str, message: Message, metadata: tuple[tuple[str, str], ...]) -> Came:
        """Any call whose answer is a message or a stream of messages."""
        streams = method_descriptor(method).server_streaming
        make = self._channel.unary_stream if streams else self._channel.unary_unary
        multi: Any = make(f"/{method}", request_serializer=lambda sent: sent.SerializeToString())
        call: Any = multi(message, metadata=metadata, timeout=SECONDS)
        pieces: list[bytes] = []
        reason = ""
        try:
            if streams:
                async for piece in call:
                    pieces.append(piece)  # noqa: PERF401 - what came before an error counts
            else:
                pieces.append(await call)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
        initial, trailing = dict(await call.initial_metadata()), dict(await call.trailing_metadata())
        replayed = initial.get("idempotent-replayed") == "true"
        code = (await call.code()).value[0]
        return Came(code, reason, b"".join(pieces) or _error(trailing), replayed, initial)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason of a refusal, lower case; the code's name where it has none."""
    for detail in status_pb2.Status.FromString(_error(dict(error.trailing_metadata() or ()))).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason.lower())
    return str(error.code().name.lower())


def _error(trailing: Mapping[str, Any]) -> bytes:
    found: bytes = trailing.get("grpc-status-details-bin", b"")
    return found


def _metadata(key: str, once: str | None) -> tuple[tuple[str, str], ...]:
    credential = (("authorization", f"Bearer {key}"),)
    return credential if once is None else (*credential, ("idempotency-key", once))


def ask(text: str = "Count.", **more: object) -> dict[str, Any]:
    """A chat request."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 500, **more}
