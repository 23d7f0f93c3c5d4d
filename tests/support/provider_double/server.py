"""The double's socket: takes requests, follows scripts, records."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from aiohttp import web

from tests.support.provider_double.record import Party, Request
from tests.support.provider_double.script import Ending, Opening, Script
from tests.support.provider_double.wire import ChatAnswer

BODY_LIMIT: Final = 64 << 20
SSE_HEADERS: Final = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class ProviderDouble:
    """Serves `/v1/chat/completions` and `/v1/models` on 127.0.0.1. Lives in the test's event loop."""

    def __init__(self, default: Script | None = None) -> None:
        self.default = default or Script()
        self.requests: list[Request] = []
        self.models: list[str] = ["gpt-double"]
        self._queue: deque[Script] = deque()
        self._by_model: dict[str, Script] = {}
        self.choose: Callable[[Mapping[str, Any]], Script | None] = lambda _: None
        """Asked with each chat request's body before anything else; None leaves it to the queue."""
        self._arrived = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The base URL that an OpenAI client takes: `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self._port}/v1"

    def next(self, *scripts: Script) -> None:
        """Queues scripts for the next chat requests, one each."""
        self._queue.extend(scripts)

    def when(self, model: str, script: Script) -> None:
        """Sets what requests for a model get."""
        self._by_model[model] = script

    async def wait_requests(self, count: int, timeout: float = 5.0) -> list[Request]:
        """Returns the requests once there are at least `count`. Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_post("/v1/chat/completions", self._chat)
        application.router.add_get("/v1/models", self._list_models)
        # A handler is cancelled the moment its client is gone: that is how leaving is timed.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _list_models(self, request: web.Request) -> web.Response:
        record = await self._record(request)
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "double"} for name in self.models]
        record.end(Party.DOUBLE, time.monotonic())
        return web.json_response({"object": "list", "data": data})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        record = await self._record(request)
        body = record.json
        script = self.choose(body) or self._next_script(body)
        try:
            return await self._follow(script, ChatAnswer(script, body, len(self.requests)), record, request)
        except (asyncio.CancelledError, ConnectionError):
            record.end(Party.CLIENT, time.monotonic())
            raise
        finally:
            record.end(Party.DOUBLE, time.monotonic())

    def _next_script(self, body: Mapping[str, Any]) -> Script:
        return self._queue.popleft() if self._queue else self._by_model.get(body.get("model", ""), self.default)

    async def _record(self, request: web.Request) -> Request:
        headers = {name.lower(): value for name, value in request.headers.items()}
        record = Request(request.method, request.path_qs, headers, await request.read(), time.monotonic())
        async with self._arrived:
            self.requests.append(record)
            self._arrived.notify_all()
        return record

    async def _follow(
        self, script: Script, answer: ChatAnswer, record: Request, request: web.Request
    ) -> web.StreamResponse:
        if script.opening is Opening.SILENT:
            await asyncio.Event().wait()
        if script.opening is Opening.RESET:
            return _reset(record, request, web.StreamResponse())
        await asyncio.sleep(script.delay)
        if script.refusal is not None:
            refusal = script.refusal
            return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
        if answer.streams:
            return await _stream(script, answer, record, request)
        return await _answer(script, answer, record, request)


async def _answer(script: Script, answer: ChatAnswer, record: Request, request: web.Request) -> web.StreamResponse:
    tokens = answer.tokens * answer.choices
    record.reported_usage = answer.usage(len(tokens))
    whole = answer.whole() | ({} if record.reported_usage is None else {"usage": record.reported_usage})
    text = json.dumps(whole).encode()
    response = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(len(text))})
    if script.ending is Ending.TRUNCATED:
        response.headers["content-length"] = str(len(text) // 2)
    await response.prepare(request)
    if script.ending in {Ending.TRUNCATED, Ending.RESET}:
        await response.write(text[: len(text) // 2])
        return _reset(record, request, response) if script.ending is Ending.RESET else response
    await response.write(text)
    record.tokens.extend((token, time.monotonic()) for token in tokens)
    return response


async def _stream(script: Script, answer: ChatAnswer, record: Request, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=SSE_HEADERS)
    await response.prepare(request)
    for chunk in answer.first_chunks():
        await _send(response, chunk)
    for token in answer.tokens:
        for index in range(answer.choices):
            await _send(response, answer.chunk({"content": token}, index))
            record.tokens.append((token, time.monotonic()))
        await asyncio.sleep(script.interval)
    if script.ending is Ending.STALL:
        await asyncio.Event().wait()
    if script.ending is Ending.RESET:
        return _reset(record, request, response)
    if script.ending is Ending.TRUNCATED:
        await response.write(b'data: {"id":"' + answer.id.encode())
    if script.ending in {Ending.TRUNCATED, Ending.CUT}:
        return response
    await _finish(script, answer, record, response)
    return response


async def _finish(script: Script, answer: ChatAnswer, record: Request, response: web.StreamResponse) -> None:
    for chunk in answer.last_chunks():
        await _send(response, chunk)
    usage = answer.usage(len(record.tokens)) if answer.usage_asked else None
    if usage is not None:
        record.reported_usage = usage
        await _send(response, answer.usage_chunk(usage))
    if script.ending is Ending.WHOLE:
        await response.write(b"data: [DONE]\n\n")


async def _send(response: web.StreamResponse, chunk: Mapping[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")


def _reset(record: Request, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Closes the connection with RST: what was not yet sent is lost, and the other side reads an error."""
    record.end(Party.DOUBLE, time.monotonic())
    transport = request.transport
    if transport is not None:
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return response
