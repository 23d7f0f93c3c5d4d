"""An answer that is a stream of messages, in one of the forms of `bridge.stream_form`.

Every message goes out at once and unpacked; silence is broken where the form knows how (`: ping` comments in events); a
reader that is slower than the messages holds the sender back; an error after the first message is told in the form's
own way, and the connection ends after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bridge.error_body import ErrorAnswer
from bridge.exchange import Exchange
from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.stream import AnswerStream
from bridge.stream_form import StreamForm


class EventStream:
    """Open, then send, then perhaps fail, then end."""

    def __init__(self, exchange: Exchange, status: int, fields: AnswerFields, form: StreamForm) -> None:
        self._exchange = exchange
        self._form = form
        self._bare = not (form.opening or form.between or form.before or form.after)
        self._empty = True
        self._out = AnswerStream(exchange.request, status, fields)
        self._failed = False
        self._last_sent = 0.0
        self._at_line_start = True

    @property
    def answer(self) -> Answer:
        """What the request's handler returns."""
        return self._out.answer

    def open(self) -> None:
        """Sends the headers; from here on errors are events. Raises ConnectionError where the reader left."""
        self._exchange.streamed = self._out.answer
        self._out.open(self._exchange.request)
        self._last_sent = self._out.time

    def send_message(self, message: bytes) -> Awaitable[None] | None:
        """Sends one message with what the form puts around it; as `_send`."""
        if self._bare:
            self._empty = False
            return self._send(message)
        form = self._form
        start = form.opening if self._empty else form.between
        self._empty = False
        return self._send(start + form.before + message + form.after)

    async def end(self) -> None:
        """Sends what the form ends with, and the answer's own end."""
        if not self._failed:
            await self._send_and_wait((self._form.opening if self._empty else b"") + self._form.closing)
        self._out.end()

    def _send(self, data: bytes) -> Awaitable[None] | None:
        """Sends bytes as they are. Where the reader is behind, what comes back is to be awaited before the next.

        Raises ConnectionError where the reader left.
        """
        if self._failed or not data:
            return None
        self._last_sent = self._out.time
        self._at_line_start = data.endswith(b"\n")
        return self._out.write(data)

    async def _send_and_wait(self, data: bytes) -> None:
        behind = self._send(data)
        if behind is not None:
            await behind

    async def fail(self, error: ErrorAnswer) -> None:
        """Tells the error in the form's way, once, and ends the answer; the connection ends with it.

        Raises ConnectionError where the reader left, or was cut because the form has no way to tell an error.
        """
        if self._failed:
            return
        if self._form.write_error is None:
            self._out.abort()
            raise ConnectionAbortedError("The stream failed, and its form has no way to say so.")
        behind = self._say_last(self._form.write_error(error.body))
        if behind is not None:
            await behind

    def interrupt(self, make_error: Callable[[str], ErrorAnswer]) -> None:
        """Ends a stream from outside, for a bridge that shuts down: `make_error` makes the last event from the id.

        A reader that is behind, or whose form has no way to tell an error, is cut.
        """
        if self._failed or self._out.behind or not self._out.lives or self._form.write_error is None:
            self._out.abort()
            return
        self._say_last(self._form.write_error(make_error(self._exchange.origin.request_id).body))
        self._exchange.end()

    def _say_last(self, words: bytes) -> Awaitable[None] | None:
        form = self._form
        start = form.opening if self._empty else form.between
        line_end = b"\n\n" if form.ends_anywhere and not self._at_line_start else b""
        self._out.answer.closes = True
        behind = self._send(start + line_end + words + form.closing)
        # Whoever sends messages may not have heard yet; nothing may follow the error.
        self._failed = True
        self._out.end()
        return behind

    def break_silence(self, longest: float) -> None:
        """Sends a keep-alive where nothing was sent for `longest` seconds."""
        if self._out.time - self._last_sent < longest:
            return
        # Inside an event (the last bytes did not end a line) a comment would break it; a reader that is behind is
        # not helped by more bytes.
        self._last_sent = self._out.time
        if self._form.ping and self._at_line_start and not self._failed and not self._out.behind and self._out.lives:
            self._out.write(self._form.ping)
