"""One call: what is sent, and the answer as it comes."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError, Message

from bridge.caller import MAX_MESSAGE_BYTES, Metadata, Refusal, Sink
from bridge.http2 import status
from bridge.http2.errors import FLOW_CONTROL_ERROR, ConnectionFault
from bridge.http2.frames import INITIAL_WINDOW
from bridge.http2.hpack import Field

CREDIT_FROM: Final = 16_384
"""A stream's window is opened again from this many bytes on, a quarter of it."""
_PREFIX_BYTES: Final = 5
_GZIP_OR_ZLIB: Final = 47


class Carrier(Protocol):
    """The connection that a call is on."""

    def credit(self, stream: int, size: int) -> None:
        """Lets the server send `size` bytes more."""
        ...

    def leave(self, stream: int) -> None:
        """Ends a call that still runs."""
        ...


class GrpcCall:
    """`bridge.caller.Reply` over HTTP/2. What waits here unread is at most one window and one message."""

    __slots__ = (
        "_answered",
        "_carrier",
        "_deadline",
        "_ending",
        "_failed_sink",
        "_forget",
        "_initial",
        "_messages",
        "_needed",
        "_parse",
        "_refused",
        "_rest",
        "_sink",
        "_stream",
        "_sunk",
        "_trailing",
        "_uncredited",
        "_waiter",
        "_whole",
        "body",
        "head",
        "tries",
    )

    def __init__(self, head: bytes, request: bytes, parse: Callable[[bytes], Message], *, whole: bool) -> None:
        """`head` is the header block, `request` the message; a `whole` answer is not told of before its end."""
        self.head = head
        self.body = b"\x00" + len(request).to_bytes(4, "big") + request
        self.tries = 0
        """How often it was sent to a server that did not look at it."""
        self._parse = parse
        self._whole = whole
        self._carrier: Carrier | None = None
        self._stream = 0
        self._forget: Callable[[GrpcCall], None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._initial: Metadata | None = None
        self._answered = False
        """Whether a message came, so that what the answer begins with is known."""
        self._messages: deque[bytes] = deque()
        self._rest = bytearray()
        self._needed = 0
        self._uncredited = 0
        self._ending = False
        self._refused: Refusal | None = None
        self._trailing: Metadata = ()
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._sunk: Any = None
        self._failed_sink: BaseException | None = None

    # What the channel and the connection tell.

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self._ending

    def expire_at(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        """Ends the call at `moment`, by the loop's clock."""
        self._deadline = loop.call_at(moment, self._expire)

    def waits_for(self, forget: Callable[[GrpcCall], None]) -> None:
        """No connection is there yet; `forget` is called where the call ends first."""
        self._forget = forget

    def begin(self, carrier: Carrier, stream: int) -> None:
        """It was sent."""
        self._carrier, self._stream, self._forget = carrier, stream, None

    @property
    def began_to_be_answered(self) -> bool:
        """Whether anything of the answer came, so that it cannot be sent to another server."""
        return self._initial is not None

    def take_headers(self, fields: list[Field], ended: bool) -> None:
        """A header block: what the answer begins with, or what it ends with."""
        if self._initial is None:
            refusal = status.foreign_answer(fields)
            if refusal is not None and not (ended and any(name == "grpc-status" for name, _ in fields)):
                self.fail(refusal)
                return
            if ended:
                self._end(fields, only=True)
                return
            self._initial = status.metadata(fields)
            self.body = b""
            if not self._whole:
                self._wake()
        elif ended:
            self._end(fields, only=False)
        else:
            self.fail(Refusal(status.INTERNAL, "The server sent a second head for one answer."))

    def take_data(self, data: bytes, size: int, ended: bool) -> None:
        """Some bytes of messages; `size` is what they took of the window, padding too. Raises `ConnectionFault`."""
        if self._initial is None:
            self.fail(Refusal(status.INTERNAL, "The server sent a message before the answer's head."))
            return
        self._uncredited += size
        if self._uncredited > INITIAL_WINDOW:
            raise ConnectionFault(FLOW_CONTROL_ERROR, "A server sent more than it may.")
        if self._rest or not self._take_one(data):
            self._rest += data
            if len(self._rest) >= self._needed:
                self._split()
        if ended and not self._ending:
            self.fail(Refusal(status.UNKNOWN, "The server ended the call without a status."))
        if not self._messages:
            self._credit()

    def fail(self, refusal: Refusal) -> None:
        """Ends the call, and leaves it on the server where it still runs there."""
        if self._ending:
            return
        self._refused = refusal
        self._finish()
        if self._carrier is not None:
            self._carrier.leave(self._stream)

    # What the bridge reads.

    async def initial_metadata(self) -> Metadata:
        """Waits for the initial metadata. Raises `Refusal` where the call ended before any was sent."""
        # None may have been sent, or the call ended without any; which of the two only the first message tells.
        while not self._initial and not self._answered and not self._ending:
            await self._wait()
        if self._refused is not None and not self._initial and not self._answered:
            raise self._refused
        return self._initial or ()

    async def read(self) -> Message | None:
        """The next message, or None after the last. Raises `Refusal`."""
        while not self._messages or (self._whole and not self._ending):
            if self._ending:
                if self._refused is not None:
                    raise self._refused
                return None
            await self._wait()
        return self._next()

    async def forward(self, sink: Sink) -> None:
        """Gives each message that is left to `sink`, where its bytes are read. Raises `Refusal`, and what it raised."""
        while True:
            while self._messages:
                behind = sink(self._next())
                if behind is not None:
                    await behind
            if self._ending:
                break
            self._sink = sink
            await self._wait()
            self._sink = None
            behind, self._sunk = self._sunk, None
            if self._failed_sink is not None:
                raise self._failed_sink
            if behind is not None:
                await behind
        if self._refused is not None:
            raise self._refused

    def trailing_metadata(self) -> Metadata:
        """Trailing metadata; empty before the end."""
        return self._trailing

    async def aclose(self) -> None:
        """Cancels the call where it still runs."""
        self.fail(Refusal(status.CANCELLED, "The call was left before its end."))

    # Inside.

    def _take_one(self, data: bytes) -> bool:
        """Whether `data` was one message, as it nearly always is."""
        if len(data) < _PREFIX_BYTES or data[0] or int.from_bytes(data[1:5], "big") != len(data) - _PREFIX_BYTES:
            return False
        self._give(data[_PREFIX_BYTES:])
        return True

    def _split(self) -> None:
        position, rest = 0, self._rest
        while len(rest) - position >= _PREFIX_BYTES:
            size = int.from_bytes(rest[position + 1 : position + _PREFIX_BYTES], "big")
            if size > MAX_MESSAGE_BYTES:
                self.fail(Refusal(status.RESOURCE_EXHAUSTED, f"A message is larger than {MAX_MESSAGE_BYTES} bytes."))
                return
            end = position + _PREFIX_BYTES + size
            if end > len(rest):
                break
            message = bytes(rest[position + _PREFIX_BYTES : end])
            if rest[position]:
                unpacked = _unpack(message)
                if unpacked is None:
                    self.fail(Refusal(status.INTERNAL, "A message was packed in a way that cannot be read."))
                    return
                message = unpacked
            self._give(message)
            position = end
        del rest[:position]
        complete = len(rest) >= _PREFIX_BYTES
        self._needed = int.from_bytes(rest[1:_PREFIX_BYTES], "big") + _PREFIX_BYTES if complete else _PREFIX_BYTES

    def _give(self, message: bytes) -> None:
        """To the sink, where one waits and is not behind; else into the queue."""
        self._answered = True
        if self._sink is None or self._messages or self._sunk is not None or self._failed_sink is not None:
            self._messages.append(message)
            if not self._whole:
                self._wake()
            return
        try:
            self._sunk = self._sink(self._read(message))
        except Exception as error:  # noqa: BLE001 - the bridge's failure, raised where it forwards
            self._failed_sink = error
        if self._sunk is not None or self._failed_sink is not None:
            self._wake()

    def _next(self) -> Message:
        message = self._messages.popleft()
        if not self._messages and not self._ending:
            self._credit()
        return self._read(message)

    def _read(self, message: bytes) -> Message:
        try:
            return self._parse(message)
        except DecodeError:
            refusal = Refusal(status.INTERNAL, "The server sent a message that cannot be read.")
            self.fail(refusal)
            raise refusal from None

    def _credit(self) -> None:
        if self._uncredited >= CREDIT_FROM and self._carrier is not None and not self._ending:
            self._carrier.credit(self._stream, self._uncredited)
            self._uncredited = 0

    def _expire(self) -> None:
        self.fail(Refusal(status.DEADLINE_EXCEEDED, "The deadline passed before the answer was done."))

    def _end(self, fields: list[Field], *, only: bool) -> None:
        self._refused, trailing = status.ending(fields)
        parts = status.split(trailing)
        if parts is not None:
            self._initial, trailing = parts
        self._trailing = trailing
        if only and self._refused is None and parts is None:
            self._initial = ()
        elif self._rest and self._refused is None:
            self._refused = Refusal(status.INTERNAL, "The server ended the call within a message.")
        self._finish()

    def _finish(self) -> None:
        self._ending = True
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._forget is not None:
            self._forget(self)
            self._forget = None
        self._wake()

    def _wait(self) -> asyncio.Future[None]:
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _unpack(message: bytes) -> bytes | None:
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        found = unpacking.decompress(message, MAX_MESSAGE_BYTES + 1)
    except zlib.error:
        return None
    return found if unpacking.eof and len(found) <= MAX_MESSAGE_BYTES else None
