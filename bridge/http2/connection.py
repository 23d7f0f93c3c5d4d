"""One connection to a server: its frames, its windows, and the calls on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from bridge.caller import MAX_METADATA_BYTES, Refusal
from bridge.http2 import frames, status
from bridge.http2.call import GrpcCall
from bridge.http2.errors import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    ConnectionFault,
)
from bridge.http2.hpack import Decoder, Field
from bridge.http2.outbound import Outbound

_logger = logging.getLogger(__name__)

_SETTINGS: Final = frames.settings(
    (
        (frames.ENABLE_PUSH, 0),
        (frames.INITIAL_WINDOW_SIZE, frames.INITIAL_WINDOW),
        (frames.MAX_HEADER_LIST_SIZE, MAX_METADATA_BYTES),
    )
)
_WIDE: Final = frames.frame(frames.WINDOW_UPDATE, 0, 0, frames.word(frames.LARGEST_WINDOW - frames.INITIAL_WINDOW))
"""The connection's own window is no limit: each call's is, so that a slow reader holds up nobody else."""
_CREDIT_FROM: Final = 2**20
_MOST_BLOCK: Final = 4 * MAX_METADATA_BYTES
_LAST_STREAM: Final = 2**31 - 1
_FIELD_BYTES: Final = 32


class Connection(asyncio.Protocol):
    """The client's end. New calls may be opened once `ready` is done, and while `open_for_calls`."""

    def __init__(
        self,
        changed: Callable[[], None],
        again: Callable[[GrpcCall], None],
        keepalive_seconds: float,
        keepalive_timeout: float,
        idle_pings: bool,
    ) -> None:
        """`changed` hears that calls can no longer be opened, or again; `again` takes calls that no server looked at.

        A connection on which nothing came for `keepalive_seconds` is probed, without calls only with `idle_pings`.
        """
        self._changed = changed
        self._again = again
        self._keepalive_seconds = keepalive_seconds
        self._keepalive_timeout = keepalive_timeout
        self._idle_pings = idle_pings
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.ready.add_done_callback(_seen)
        """Done with the server's first words. Fails with OSError, or `ConnectionFault` for what is no HTTP/2."""
        self.gone: asyncio.Future[None] = self._loop.create_future()
        """Done where no further calls can be opened, for whoever connects anew."""
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._decoder = Decoder()
        self._calls: dict[int, GrpcCall] = {}
        self._next_stream = 1
        self._most_calls = _LAST_STREAM
        self._leaving = False
        self._out: list[bytes] = []
        self._outbound = Outbound(self._write)
        self._block: tuple[int, bool, bytearray] | None = None
        self._consumed = 0
        self._heard = self._loop.time()
        self._probe: asyncio.TimerHandle | None = None
        self._probed = False

    @property
    def open_for_calls(self) -> bool:
        """Whether another call can be opened now."""
        if self._leaving or self._transport is None or self._transport.is_closing():
            return False
        return len(self._calls) < self._most_calls

    @property
    def calls(self) -> int:
        """How many run."""
        return len(self._calls)

    def open(self, call: GrpcCall) -> None:
        """Sends a call."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        if self._next_stream > _LAST_STREAM:
            self._leave()
        self._calls[stream] = call
        call.begin(self, stream)
        self._outbound.send(stream, frames.header_frames(stream, call.head), call.body)

    def credit(self, stream: int, size: int) -> None:
        """Lets the server send `size` bytes more of a call."""
        self._write(frames.frame(frames.WINDOW_UPDATE, 0, stream, frames.word(size)))

    def leave(self, stream: int) -> None:
        """Ends a call that still runs."""
        if self._calls.pop(stream, None) is None:
            return
        self._outbound.drop(stream)
        self._write(frames.frame(frames.RST_STREAM, 0, stream, frames.word(CANCEL)))
        self._ended()

    def drain(self) -> None:
        """No further calls; closes after the last."""
        self._leave()
        self._ended()

    def close(self, refusal: Refusal) -> None:
        """Ends every call with `refusal`, and the connection."""
        self._leave()
        for call in tuple(self._calls.values()):
            call.fail(refusal)
        self._say_goodbye(NO_ERROR)

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speaks first, as clients do."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._write(frames.PREFACE + _SETTINGS + _WIDE)
        self._probe = self._loop.call_later(self._keepalive_seconds, self._look)

    def data_received(self, data: bytes) -> None:
        """Whole frames, and the beginning of another."""
        self._heard = self._loop.time()
        buffer = self._rest + data if self._rest else data
        position, end = 0, len(buffer)
        try:
            while end - position >= frames.HEAD_BYTES:
                head, flags, stream = frames.read_head(buffer, position)
                start, stop = position + frames.HEAD_BYTES, position + frames.HEAD_BYTES + (head >> 8)
                if not self.ready.done() and head & 0xFF != frames.SETTINGS:
                    raise ConnectionFault(PROTOCOL_ERROR, "What answers does not speak HTTP/2.")
                if head >> 8 > frames.SMALLEST_FRAME:
                    raise ConnectionFault(FRAME_SIZE_ERROR, "A frame is longer than was agreed.")
                if stop > end:
                    break
                self._take(head & 0xFF, flags, stream & _LAST_STREAM, buffer[start:stop])
                position = stop
        except ConnectionFault as fault:
            self._break(fault)
            return
        self._rest = buffer[position:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Every call that still runs failed, and nobody knows how far it came."""
        if self._probe is not None:
            self._probe.cancel()
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionResetError("The connection was closed at once."))
        self._leave()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.fail(Refusal(status.UNAVAILABLE, "The connection to the server was lost."))

    # Inside.

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or stream != self._block[0]):
            raise ConnectionFault(PROTOCOL_ERROR, "A header block is interrupted.")
        if kind == frames.DATA:
            self._take_data(flags, stream, payload)
        elif kind == frames.HEADERS:
            block = bytearray(frames.without_padding(flags, payload))
            self._block = (stream, bool(flags & frames.END_STREAM), block)
            self._end_block(flags)
        elif kind == frames.CONTINUATION:
            if self._block is None or len(self._block[2]) + len(payload) > _MOST_BLOCK:
                raise ConnectionFault(ENHANCE_YOUR_CALM, "A header block is continued without end, or never began.")
            self._block[2].extend(payload)
            self._end_block(flags)
        else:
            self._take_control(kind, flags, stream, payload)

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._consumed += len(payload)
        if self._consumed >= _CREDIT_FROM:
            self.credit(0, self._consumed)
            self._consumed = 0
        call = self._calls.get(stream)
        if call is None:
            return
        data = frames.without_padding(flags & frames.PADDED, payload)
        call.take_data(data, len(payload), bool(flags & frames.END_STREAM))

    def _end_block(self, flags: int) -> None:
        if not flags & frames.END_HEADERS or self._block is None:
            return
        (stream, ended, block), self._block = self._block, None
        # Read even where the call is over: later blocks build on it.
        fields = self._decoder.decode(bytes(block))
        call = self._calls.get(stream)
        if call is None or _is_interim(fields):
            return
        if sum(len(name) + len(value) + _FIELD_BYTES for name, value in fields) > 2 * MAX_METADATA_BYTES:
            call.fail(Refusal(status.RESOURCE_EXHAUSTED, f"Metadata is larger than {MAX_METADATA_BYTES} bytes."))
            return
        call.take_headers(fields, ended)
        if ended:
            self._calls.pop(stream, None)
            self._outbound.drop(stream)
            self._ended()

    def _take_control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.SETTINGS:
            self._take_settings(flags, payload)
        elif kind == frames.PING:
            self._take_ping(flags, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._take_window(stream, payload)
        elif kind == frames.RST_STREAM:
            self._take_reset(stream, _whole(payload, 4))
        elif kind == frames.GOAWAY:
            self._take_goaway(payload)
        elif kind == frames.PUSH_PROMISE:
            raise ConnectionFault(PROTOCOL_ERROR, "A server pushes what nobody wants.")

    def _take_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        if len(payload) % 6:
            raise ConnectionFault(FRAME_SIZE_ERROR, "Settings come in six bytes each.")
        told = frames.read_settings(payload)
        if told.get(frames.INITIAL_WINDOW_SIZE, 0) > frames.LARGEST_WINDOW:
            raise ConnectionFault(FLOW_CONTROL_ERROR, "A window is larger than windows can be.")
        self._most_calls = told.get(frames.MAX_CONCURRENT_STREAMS, self._most_calls)
        self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._outbound.set(told.get(frames.INITIAL_WINDOW_SIZE), told.get(frames.MAX_FRAME_SIZE))
        if not self.ready.done():
            self.ready.set_result(None)
        else:
            self._changed()

    def _take_ping(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            self._probed = False
        else:
            self._write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _take_window(self, stream: int, payload: bytes) -> None:
        size = frames.read_word(_whole(payload, 4)) & _LAST_STREAM
        if not self._outbound.widen(stream, size):
            raise ConnectionFault(FLOW_CONTROL_ERROR, "A window is larger than windows can be.")

    def _take_reset(self, stream: int, payload: bytes) -> None:
        call = self._calls.pop(stream, None)
        if call is None:
            return
        self._outbound.drop(stream)
        code = frames.read_word(payload)
        if code == REFUSED_STREAM and not call.began_to_be_answered:
            self._again(call)
        else:
            call.fail(status.of_reset(code))
        self._ended()

    def _take_goaway(self, payload: bytes) -> None:
        if len(payload) < 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, "A farewell is too short.")
        last, code = frames.read_word(payload) & _LAST_STREAM, frames.read_word(payload, 4)
        if code != NO_ERROR:
            _logger.warning("A server said goodbye with HTTP/2 error %d: %r", code, payload[8:200])
        self._leave()
        for stream in [number for number in self._calls if number > last]:
            call = self._calls.pop(stream)
            self._outbound.drop(stream)
            self._again(call)
        self._ended()

    def _leave(self) -> None:
        if self._leaving:
            return
        self._leaving = True
        if not self.gone.done():
            self.gone.set_result(None)
        self._changed()

    def _ended(self) -> None:
        if self._leaving and not self._calls:
            self._say_goodbye(NO_ERROR)
        elif len(self._calls) == self._most_calls - 1:
            self._changed()

    def _break(self, fault: ConnectionFault) -> None:
        if not self.ready.done():
            self.ready.set_exception(fault)
        _logger.warning("A connection to a server was given up: %s", fault)
        self._say_goodbye(fault.code)

    def _say_goodbye(self, code: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._write(frames.frame(frames.GOAWAY, 0, 0, bytes(4) + frames.word(code)))
        self._flush()
        self._transport.close()

    def _write(self, data: bytes) -> None:
        # What one turn of the loop says goes out in one write, whichever calls it is of.
        self._out.append(data)
        if len(self._out) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out) if len(out) > 1 else out[0])

    def _look(self) -> None:
        """Whether the other end is still there."""
        assert self._transport is not None
        silent = self._loop.time() - self._heard
        if self._probed and silent >= self._keepalive_timeout:
            self._transport.abort()
            return
        self._probed = self._probed and silent >= self._keepalive_timeout
        due = self._keepalive_seconds - silent
        if due <= 0 and (self._calls or self._idle_pings):
            self._probed = True
            self._write(frames.frame(frames.PING, 0, 0, bytes(8)))
            due = self._keepalive_timeout
        self._probe = self._loop.call_later(due if due > 0 else self._keepalive_seconds, self._look)


def _seen(ready: asyncio.Future[None]) -> None:
    """A failure that nobody waits for is no news: who connects hears of it in another way."""
    if not ready.cancelled():
        ready.exception()


def _whole(payload: bytes, size: int) -> bytes:
    if len(payload) != size:
        raise ConnectionFault(FRAME_SIZE_ERROR, "A frame has not the length of its kind.")
    return payload


def _is_interim(fields: list[Field]) -> bool:
    return bool(fields) and fields[0][0] == ":status" and fields[0][1].startswith("1")
