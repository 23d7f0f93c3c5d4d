"""An answer that is a stream of messages, in one of the forms of `bridge.stream_form`.

Every message goes out at once and unpacked; silence is broken where the form knows how (`: ping` comments in events); a
reader that is slower than the messages holds the sender back; an error after the first message is told in the form's
own way, and the connection ends after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.web import StreamResponse

from bridge.error_body import ErrorAnswer
from bridge.exchange import Exchange
from bridge.stream_form import StreamForm

_logger = logging.getLogger(__name__)


class EventStream:
    """Open, then send, then perhaps fail; whoever made it stops the pings and ends the response in every case."""

    def __init__(self, exchange: Exchange, response: StreamResponse, form: StreamForm, ping_seconds: float) -> None:
        self._exchange = exchange
        self._form = form
        self._empty = True
        self._response = response
        self._protocol = exchange.request.protocol
        self._ping_seconds = ping_seconds
        self._loop = asyncio.get_running_loop()
        self._writer: AbstractStreamWriter | None = None
        self._chunked = False
        self._failed = False
        self._last_sent = 0.0
        self._at_line_start = True
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Sends the headers; from here on errors are events."""
        self._exchange.streaming = True
        if self._exchange.draining:
            self._response.force_close()
        self._writer = await self._response.prepare(self._exchange.request)
        assert isinstance(self._writer, StreamWriter)
        self._chunked = self._writer.chunked
        # It would keep them for the first write of its own.
        self._writer.send_headers()
        self._last_sent = self._loop.time()
        self._timer = self._loop.call_later(self._ping_seconds, self._break_silence)

    def send_message(self, message: bytes) -> Awaitable[None] | None:
        """Sends one message with what the form puts around it; as `send`."""
        form = self._form
        start = form.opening if self._empty else form.between
        self._empty = False
        return self._send(start + form.before + message + form.after)

    async def end(self) -> None:
        """Sends what the form ends with; the response is still to be ended."""
        await self._send_and_wait((self._form.opening if self._empty else b"") + self._form.closing)

    def _send(self, data: bytes) -> Awaitable[None] | None:
        """Sends bytes as they are. Where the reader is behind, what comes back is to be awaited before the next.

        Written past aiohttp's writer, which takes as long for an event as all the rest of its way through the bridge.
        Raises ConnectionError where the reader left.
        """
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The reader left.")
        if self._failed or not data:
            return None
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        self._last_sent = self._loop.time()
        self._at_line_start = data.endswith(b"\n")
        if self._protocol.writing_paused:
            assert self._writer is not None
            return self._writer.drain()
        return None

    async def _send_and_wait(self, data: bytes) -> None:
        behind = self._send(data)
        if behind is not None:
            await behind

    async def fail(self, error: ErrorAnswer) -> None:
        """Tells the error in the form's way, once; the connection ends with the answer.

        Raises ConnectionError where the reader left, or was cut because the form has no way to tell an error.
        """
        form = self._form
        self._response.force_close()
        if form.write_error is None:
            if self._exchange.request.transport is not None:
                self._exchange.request.transport.abort()
            raise ConnectionAbortedError("The stream failed, and its form has no way to say so.")
        start = form.opening if self._empty else form.between
        line_end = b"\n\n" if form.ends_anywhere and not self._at_line_start else b""
        last = self._send(start + line_end + form.write_error(error.body) + form.closing)
        # Whoever sends messages may not have heard yet; nothing may follow the error.
        self._failed = True
        if last is not None:
            await last

    def interrupt_soon(self, make_error: Callable[[str], ErrorAnswer]) -> None:
        """Ends a stream from outside, for a bridge that shuts down: `make_error` makes the last event from the id."""
        self._start_task(self._interrupt(make_error(self._exchange.origin.request_id)))

    async def _interrupt(self, error: ErrorAnswer) -> None:
        try:
            if not self._protocol.writing_paused:
                await self.fail(error)
        finally:
            self._exchange.request.task.cancel()

    def stop_pings(self) -> None:
        """No more keep-alives. Must be called in every ending."""
        if self._timer is not None:
            self._timer.cancel()

    def _break_silence(self) -> None:
        due = self._last_sent + self._ping_seconds - self._loop.time()
        if due <= 0:
            self._ping()
            due = self._ping_seconds
        self._timer = self._loop.call_later(due, self._break_silence)

    def _ping(self) -> None:
        # Inside an event (the last bytes did not end a line) a comment would break it; a reader that is behind is
        # not helped by more bytes.
        if (
            self._failed
            or not self._form.ping
            or not self._at_line_start
            or self._protocol.writing_paused
            or not self._protocol.connected
        ):
            return
        assert self._writer is not None
        self._start_task(self._writer.write(self._form.ping))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A reader that left between the check and the write is noticed where events are sent.
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConnectionError):
            _logger.error("A stream's keep-alive broke", exc_info=error)
