"""Serves one binding: request in, call, answer out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from bridge import transcode
from bridge.body import check_content_type, parse_content_type, read_body
from bridge.caller import NO_MESSAGE, Call, Caller, Metadata, Refusal, Reply
from bridge.catalog import Binding, Method
from bridge.errors import BridgeError, CredentialInvalid, CredentialMissing, InternalError
from bridge.event_stream import EventStream
from bridge.exchange import Exchange
from bridge.http.answer import Answer
from bridge.path_template import Variable
from bridge.policy import OWN, Policy
from bridge.settings import BridgeSettings
from bridge.stream_form import StreamForm, raw_form

_logger = logging.getLogger(__name__)
_INVALID_ARGUMENT = 3
_RESOURCE_EXHAUSTED = 8
_EVENT_STREAM_TYPE = "text/event-stream"
_BYTES_OFF_LOOP = 256 * 1024
"""From this size on JSON is read in a thread, so that other calls go on meanwhile."""


class Endpoint:
    """One binding of one method, made once and called for every request that the router gives it."""

    def __init__(
        self,
        method: Method,
        binding: Binding,
        caller: Caller,
        settings: BridgeSettings,
        live: set[EventStream],
        policy: Policy = OWN,
    ) -> None:
        """`live` holds the open streams of all endpoints, for whoever shuts the bridge down."""
        self.method = method
        self._live = live
        self.binding = binding
        self._caller = caller
        self._settings = settings
        self._wants_json = transcode.wants_json(method, binding)
        self._policy = policy
        self._wants_credential = policy.wants_credential(method)
        self._returns_raw = transcode.returns_raw(method, binding)
        self._reads_body = not method.takes_http_body

    async def __call__(self, exchange: Exchange, variables: Sequence[tuple[Variable, str]]) -> Answer:
        """Answers one request. Raises `BridgeError`, or `Refusal` before anything was sent."""
        exchange.label = self.method.full_name
        # The credential is looked for before anything of the body is read.
        crossing = self._policy.crossing
        try:
            metadata = crossing.request_metadata(exchange.request, self._wants_credential)
        except (CredentialMissing, CredentialInvalid):
            if self._policy.own_ways:
                await self._count_stranger(exchange)
            raise
        timeout = crossing.timeout(exchange.request, self._settings.call_timeout)
        try:
            request = await self._read_request(exchange, variables)
        except BridgeError as error:
            if self._policy.own_ways and not error.closes:
                await self._check_caller(exchange, metadata)
            raise
        call = Call(self.method.rpc_path, request, metadata, exchange.origin, timeout)
        reply = self._caller.call(call)
        try:
            if self.method.server_streaming:
                return await self._answer_stream(exchange, reply)
            return await self._answer_one(exchange, reply)
        finally:
            await reply.aclose()

    def _to_message(
        self, variables: Sequence[tuple[Variable, str]], query: str, body: bytes, content_type: str
    ) -> Message:
        """The request. Raises `InvalidRequest`."""
        rules = self._policy.reading
        return transcode.read_request(self.method, self.binding, variables, query, body, content_type, rules)

    async def _check_caller(self, exchange: Exchange, metadata: Metadata) -> None:
        """Raises `Refusal` where the server refuses the caller, who then learns nothing of the request's faults."""
        call = Call(self.method.rpc_path, NO_MESSAGE, metadata, exchange.origin, self._settings.call_timeout)
        reply = self._caller.call(call)
        try:
            await reply.read()
        except Refusal as refusal:
            if refusal.code != _INVALID_ARGUMENT:
                raise
        finally:
            await reply.aclose()

    async def _count_stranger(self, exchange: Exchange) -> None:
        """Raises `Refusal` where the server has heard too often from this address without a valid credential."""
        call = Call(self.method.rpc_path, NO_MESSAGE, (), exchange.origin, self._settings.call_timeout)
        reply = self._caller.call(call)
        try:
            await reply.read()
        except Refusal as refusal:
            if refusal.code == _RESOURCE_EXHAUSTED:
                raise
        finally:
            await reply.aclose()

    async def _read_request(self, exchange: Exchange, variables: Sequence[tuple[Variable, str]]) -> Message:
        body = b""
        content_type = exchange.request.fields.get("content-type")
        if self.binding.body:
            if self._wants_json and self._policy.own_ways and exchange.request.body.exists:
                check_content_type(content_type)
            body = await read_body(exchange.request)
        default_type = "application/json" if self._wants_json else "application/octet-stream"
        arguments = (variables, exchange.query, body, content_type or default_type)
        if len(body) > _BYTES_OFF_LOOP and self._reads_body:
            return await asyncio.to_thread(self._to_message, *arguments)
        return self._to_message(*arguments)

    async def _answer_one(self, exchange: Exchange, reply: Reply) -> Answer:
        message = await reply.read()
        initial = await reply.initial_metadata()
        if message is None or await reply.read() is not None:
            _logger.error("%s did not answer with one message, request %s", self.method.full_name, exchange.origin)
            raise InternalError()
        return self._whole_answer(exchange, [message], initial, reply.trailing_metadata())

    async def _answer_stream(self, exchange: Exchange, reply: Reply) -> Answer:
        form = self._policy.stream_form(exchange.request.fields.every("accept"))
        if not self._policy.own_ways and not self._returns_raw:
            return await self._answer_quiet_stream(exchange, reply, form)
        first = await reply.read()
        if not self._returns_raw:
            return await self._send_stream(exchange, reply, first, await reply.initial_metadata(), form)
        content_type = "" if first is None else self._raw(first).content_type
        if _is_event_stream(content_type):
            return await self._send_stream(
                exchange, reply, first, await reply.initial_metadata(), self._policy.raw_events
            )
        if not self._policy.own_ways:
            return await self._send_stream(
                exchange, reply, first, await reply.initial_metadata(), raw_form(content_type)
            )
        return await self._collect(exchange, reply, first)

    async def _answer_quiet_stream(self, exchange: Exchange, reply: Reply, form: StreamForm) -> Answer:
        """A server may have nothing to say for long; its client then learns by the headers that the stream is there."""
        first = asyncio.create_task(reply.read())
        try:
            await asyncio.wait({first}, timeout=self._settings.ping_seconds)
            if not first.done():
                return await self._send_stream(exchange, reply, first, (), form)
            message = first.result()
            return await self._send_stream(exchange, reply, message, await reply.initial_metadata(), form)
        finally:
            if not first.done():
                first.cancel()

    async def _collect(self, exchange: Exchange, reply: Reply, first: Message | None) -> Answer:
        messages: list[Message] = []
        message = first
        while message is not None:
            messages.append(message)
            message = await reply.read()
        # A server tells it at the end of an answer that is no stream of events.
        return self._whole_answer(exchange, messages, await reply.initial_metadata(), reply.trailing_metadata())

    def _whole_answer(
        self, exchange: Exchange, messages: Sequence[Message], initial: Metadata, trailing: Metadata
    ) -> Answer:
        fields = exchange.fields()
        self._policy.crossing.show_metadata(initial, fields)
        self._policy.crossing.show_metadata(trailing, fields)
        if self._returns_raw and messages:
            body = b"".join(self._raw(message).data for message in messages)
            content_type = self._raw(messages[0]).content_type
        else:
            body, content_type = b"".join(self._json(message) for message in messages), ""
        return exchange.answer_with(fields, self.method.http_success, body, content_type or "application/json")

    async def _send_stream(
        self,
        exchange: Exchange,
        reply: Reply,
        first: Message | asyncio.Task[Message | None] | None,
        initial: Metadata,
        form: StreamForm,
    ) -> Answer:
        write = self._raw_data if self._returns_raw else self._json
        fields = exchange.fields()
        fields.update(form.headers())
        self._policy.crossing.show_metadata(initial, fields)
        if exchange.request.method == "HEAD":
            return Answer(self.method.http_success, fields)
        stream = EventStream(exchange, self.method.http_success, fields, form)
        self._live.add(stream)
        try:
            stream.open()
            message = await first if isinstance(first, asyncio.Task) else first
            if message is not None:
                behind = stream.send_message(write(message))
                if behind is not None:
                    await behind
                await reply.forward(lambda later: stream.send_message(write(later)))
            await stream.end()
        except Refusal as refusal:
            await stream.fail(self._policy.errors.of_refusal(refusal, exchange.origin.request_id))
        except ConnectionError:
            raise
        except Exception:
            _logger.exception("A stream of %s broke, request %s", self.method.full_name, exchange.origin)
            await stream.fail(self._policy.errors.of_bridge_error(InternalError(), exchange.origin.request_id))
        finally:
            self._live.discard(stream)
        return stream.answer

    def _json(self, message: Message) -> bytes:
        return transcode.write_json(self._policy.writer, self.binding, message)

    def _raw(self, message: Message) -> Any:
        return transcode.raw_answer(self.binding, message)

    def _raw_data(self, message: Message) -> bytes:
        data: bytes = self._raw(message).data
        return data


def _is_event_stream(content_type: str) -> bool:
    return parse_content_type(content_type)[0] == _EVENT_STREAM_TYPE
