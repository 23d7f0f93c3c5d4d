"""A chat's reply with a system's own members in it, behind the bridge's port, so that the endpoint knows nothing of it.

What a call came to is known when it is settled, after `[DONE]` was written. So the last chunk waits for it: from the
first `finish_reason` on, the newest event is held back until the call has ended. Every earlier event passes at once.
"""

from __future__ import annotations

import re
from typing import cast

import msgspec
from google.api.httpbody_pb2 import HttpBody

from bridge.aliases.chat_members import ChatMembers
from bridge.aliases.route import ChatDecoration
from bridge.caller import Call, Caller, Metadata, Refusal, Reply, Sink

_OUTCOME = "tollbridge-outcome-bin"
_WANTS_TODAY = ("x-tollbridge-quota", "today")
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"')
_DATA = b"data: "
_END = b"\n\n"
_DONE = b"[DONE]"
_EVENTS = "text/event-stream"


class DecoratingCaller:
    """A caller whose chats carry more than the provider said."""

    def __init__(self, caller: Caller, decoration: ChatDecoration) -> None:
        self._caller = caller
        self._decoration = decoration

    def call(self, call: Call) -> Reply:
        """Starts the call, and asks to hear of today where the answer tells of it."""
        if self._decoration.last:
            call = msgspec.structs.replace(call, metadata=[*call.metadata, _WANTS_TODAY])
        return DecoratedReply(self._caller.call(call), ChatMembers(self._decoration, call.origin.request_id))

    async def ready(self) -> bool:
        """As the caller behind it."""
        return await self._caller.ready()

    async def aclose(self) -> None:
        """Holds nothing of its own; the caller behind it is closed by whoever made it."""


class DecoratedReply:
    """One chat's reply."""

    def __init__(self, reply: Reply, members: ChatMembers) -> None:
        self._reply = reply
        self._members = members
        self._content_type = ""
        self._begun = False
        self._ended = False
        self._rest = b""
        self._last = b""
        self._held: bytes | None = None
        self._finishing = False
        self._done = False
        self._failure: Refusal | None = None

    async def initial_metadata(self) -> Metadata:
        """As the reply behind it."""
        return await self._reply.initial_metadata()

    def trailing_metadata(self) -> Metadata:
        """As the reply behind it."""
        return self._reply.trailing_metadata()

    async def aclose(self) -> None:
        """Leaves the call."""
        await self._reply.aclose()

    async def read(self) -> HttpBody | None:
        """The next message, edited. Raises `Refusal` after what came before the failure was handed over."""
        if self._failure is not None:
            raise self._failure
        while not self._ended:
            message = await self._next()
            if message is None:
                self._ended = True
                return self._message(self._end()) if self._begun else None
            if not self._begun:
                self._begun = True
                self._content_type = message.content_type
                if not message.content_type.startswith(_EVENTS):
                    return await self._whole(message)
            passed = self._take(message.data)
            if passed:
                return self._message(passed)
        return None

    async def forward(self, sink: Sink) -> None:
        """Gives each message that is left to `sink`. Raises `Refusal`, and what `sink` raised."""
        while (message := await self.read()) is not None:
            behind = sink(message)
            if behind is not None:
                await behind

    async def _next(self) -> HttpBody | None:
        try:
            return cast("HttpBody | None", await self._reply.read())
        except Refusal as refusal:
            if self._held is None:
                raise
            self._failure = refusal
            held, self._held = self._held, None
            return HttpBody(data=_DATA + held + _END)

    async def _whole(self, first: HttpBody) -> HttpBody:
        parts = [first.data]
        while (more := await self._next()) is not None:
            parts.append(more.data)
        self._ended = True
        return self._message(self._members.finish(self._members.edit(b"".join(parts)), self._outcome()))

    def _take(self, data: bytes) -> bytes:
        """What can go out now of the events that came."""
        if self._failure is not None:
            return data
        *events, self._rest = (self._rest + data).split(_END)
        passed: list[bytes] = []
        for event in events:
            payload = event.removeprefix(_DATA)
            if payload == _DONE:
                self._done = True
                continue
            self._last = edited = self._members.edit(payload)
            self._finishing = self._finishing or _FINISH.search(payload) is not None
            if not self._finishing:
                passed.append(edited)
                continue
            if self._held is not None:
                passed.append(self._held)
            self._held = edited
        return b"".join(_DATA + payload + _END for payload in passed)

    def _end(self) -> bytes:
        """The last of a stream whose call has ended."""
        outcome, last = self._outcome(), self._held
        if last is None and outcome is not None and self._last:
            last = self._members.closing_chunk(self._last)
        parts = [] if last is None else [self._members.finish(last, outcome)]
        if self._done:
            parts.append(_DONE)
        return b"".join(_DATA + payload + _END for payload in parts) + self._rest

    def _outcome(self) -> bytes | None:
        found = dict(self._reply.trailing_metadata()).get(_OUTCOME)
        return found if isinstance(found, bytes) else None

    def _message(self, data: bytes) -> HttpBody:
        content_type, self._content_type = self._content_type, ""
        return HttpBody(content_type=content_type, data=data)
