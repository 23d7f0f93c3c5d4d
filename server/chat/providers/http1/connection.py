"""One connection to a provider: a request goes out, an answer is read as somebody asks for it, then perhaps the next.

At most 64 KB wait here unread: beyond that the socket is not read until they are taken. At most 64 KB come without a
byte of the body among them, whatever they are: fields, interim answers, chunk extensions, trailers.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from server.chat.providers.transport import TransportError, TransportTimeoutError
from server.foundation.crash_points import passing

MAX_FRUITLESS_BYTES: Final = 64 * 1024
_HIGH_WATER_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 256 * 1024
_FIRST_FINAL_STATUS: Final = 200
_CROSSING_SECONDS: Final = 5.0
"""A close and a request that cross on their way do so within a round trip; a later close is a failure of the other
side's, which may have begun to work."""


class Connection(asyncio.Protocol):
    """A socket and the answer on it. One request at a time; whoever made it says how long each wait may last."""

    __slots__ = (
        "_asked_time", "_end_time", "_error", "_extra", "_fields", "_fruitless", "_loop", "_lost", "_on_gone",
        "_parser", "_parts", "_paused", "_persists", "_received", "_requests", "_sending", "_size", "_transport",
        "_until_end", "_waiter", "_writing_paused", "asked", "complete", "deadline", "head_came", "status", "was_gone",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, on_gone: Callable[[Connection], None]) -> None:
        """`on_gone` is called once, when the connection is no more."""
        self._loop = loop
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False
        self._writing_paused = False
        self._paused = False
        self._requests = 0
        self.asked = False
        """Whether an answer is due or being read."""
        self.deadline = math.inf
        """By the loop's clock: `expire` is to be called then."""
        self.was_gone = False
        """Whether it had served before, and was closed soon after a request without a byte of an answer."""
        self._asked_time = 0.0
        self._end_time = math.inf
        self._reset()

    def _reset(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._fruitless = 0
        self._received = False
        self._until_end = True
        self._extra = False
        self._persists = False
        self._sending = False
        self._error: TransportError | None = None
        self.status = 0
        self.head_came = False
        self.complete = False

    # What the pool and a call do.

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return not self._lost and not self.asked and self._transport is not None and not self._transport.is_closing()

    @property
    def keepable(self) -> bool:
        """Whether the answer came whole, and nothing else with it, and the other side keeps the connection too."""
        whole = self.complete and not self._extra and not self._sending and not self._parts and not self._lost
        return whole and self._error is None and self._persists

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The answer's fields as they came. The list stays as it is when the next request goes out."""
        return self._fields

    async def ask(self, head: bytes, body: bytes, patience: float, longest: float) -> None:
        """Sends a request and waits for the head of its answer. Request and answer may last `longest` seconds.

        Raises `TransportError`.
        """
        assert self._transport is not None, "asked only once it is made"
        self.asked = True
        self._requests += 1
        self._asked_time = self._loop.time()
        self._end_time = self._asked_time + longest
        self.deadline = min(self._asked_time + patience, self._end_time)
        if len(body) <= _PIECE_BYTES:
            self._transport.write(head + body)
        else:
            await self._send_pieces(self._transport, head, body)
        passing("upstream sent")
        while not self.head_came:
            if self._error is not None:
                raise self._failure(self._error)
            await self._wait()
        self.deadline = self._end_time

    async def read(self, patience: float) -> bytes:
        """The body's bytes that came since; empty at its end. Raises `TransportError`."""
        while not self._parts:
            if self._error is not None:
                raise self._failure(self._error)
            if self.complete:
                return b""
            self.deadline = min(self._loop.time() + patience, self._end_time)
            # Left where it is when the wait is over: waking looks whether it is done.
            self._waiter = self._loop.create_future()
            await self._waiter
            self.deadline = self._end_time
        return self._take()

    def rest(self, deadline: float) -> None:
        """The answer is over; the connection waits for the next request, until `deadline`."""
        self.asked = False
        self.deadline = deadline
        self._reset()

    def expire(self) -> None:
        """The deadline passed: a call that waits fails, an idle connection is closed."""
        too_long = self.asked and self._loop.time() >= self._end_time
        why = "the call lasted longer than calls may" if too_long else "silent for too long"
        self._fail(TransportTimeoutError(why))

    def close(self) -> None:
        """Closes at once, whatever is under way. A read that waits fails."""
        self._fail(TransportError("closed by us"))

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self.asked:
            # Nobody asked: what came would be taken for the next call's answer.
            self.close()
            return
        self._received = True
        self._fruitless += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.complete:
                self._fail(TransportError(f"not HTTP: {error!r}"))
                return
            self._extra = True
        if self._fruitless > MAX_FRUITLESS_BYTES:
            self._fail(TransportError("too much that is no body"))
            return
        if self._size > _HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._end(exc)
        self._on_gone(self)
        # It calls back here, so the two would keep each other.
        del self._parser

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self._extra = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head_came:
            self._fields.append((name, value))
            if name[0] | 0x20 in _FRAMING_INITIALS and name.lower() in _FRAMING:
                self._until_end = False

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            self._fields.clear()
            self._until_end = True
        elif not self.complete and not self._is_too_large():
            self.status = status
            self.head_came = True

    def on_body(self, body: bytes) -> None:
        if self.complete or not self.head_came:
            return
        self._parts.append(body)
        self._size += len(body)
        self._fruitless = 0

    def on_message_complete(self) -> None:
        if self.head_came and not self.complete:
            self.complete = True
            # The parser knows only until this returns.
            self._persists = self._parser.should_keep_alive()

    # The rest is between these.

    def _is_too_large(self) -> bool:
        """Of the head, which may have come with much of its body."""
        if self._fruitless <= MAX_FRUITLESS_BYTES:
            return False
        return sum(len(name) + len(value) for name, value in self._fields) > MAX_FRUITLESS_BYTES

    async def _send_pieces(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        """Sends a large body so that others are served meanwhile, and stops where the answer comes before its end."""
        self._sending = True
        transport.write(head)
        for start in range(0, len(body), _PIECE_BYTES):
            transport.write(memoryview(body)[start : start + _PIECE_BYTES])
            while self._writing_paused and not self.head_came and self._error is None:
                await self._wait()
            if self.head_came or self._error is not None:
                return
        self._sending = False

    def _take(self) -> bytes:
        parts, self._parts, self._size = self._parts, [], 0
        if self._paused:
            self._paused = False
            if not self._lost and self._transport is not None:
                self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    @staticmethod
    def _failure(error: TransportError) -> TransportError:
        """One of its own for each raise: what was raised keeps the frames on its way, and so this connection."""
        return type(error)(*error.args)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _end(self, error: Exception | None) -> None:
        """No more bytes come."""
        if self.asked and not self.complete and self._error is None:
            if self.head_came and self._until_end and error is None:
                # RFC 9112, section 6.3: without a length the body lasts until the connection ends.
                self.complete = self._extra = True
            else:
                self._error = TransportError(f"the connection ended early: {error!r}")
                soon = self._loop.time() - self._asked_time < _CROSSING_SECONDS
                self.was_gone = soon and self._requests > 1 and not self._received
        self._wake()

    def _fail(self, error: TransportError) -> None:
        if self._error is None and not self.complete:
            self._error = error
        self.deadline = math.inf
        if self._transport is not None:
            self._transport.abort()
        self._wake()


_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_FRAMING_INITIALS: Final = frozenset(name[0] for name in _FRAMING)
