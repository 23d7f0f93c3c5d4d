"""One connection: requests are read as they come, handled one after another, and answered in order.

What is read ahead is bounded: while a request is handled, at most what one read brought of the next ones waits, and of
a body that nobody asked for at most 64 KB. Nothing is read for a client that does not read its answers.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import math
import struct
import termios
from typing import TYPE_CHECKING, Final

from bridge.errors import BodyTimeout
from bridge.http.answer import Answer, has_body, write_head
from bridge.http.outgoing import Outgoing
from bridge.http.parser import RequestParser
from bridge.http.request import Request

if TYPE_CHECKING:
    from bridge.http.server import Server

_logger = logging.getLogger(__name__)

_PIECE_BYTES: Final = 16 * 1024
"""As much is read at once where nobody knows where a request ends: what stands in it may be many small requests."""
_UNASKED_BYTES: Final = 64 * 1024
_JOINED_BYTES: Final = 64 * 1024
"""Up to this size a body is copied behind its head, for one write."""
_QUIET_SECONDS: Final = 1.0
"""A connection that has been silent for so long is not about to send a request."""
_LINGER_SECONDS: Final = 2.0
"""How long the rest of a request is thrown away, so that its sender comes to read the answer."""
_LEFT_SECONDS: Final = 0.25
"""How long a whole answer may still take for a client that will send nothing more; most of them are gone."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(Outgoing):
    """A socket, its parser and the request that is being handled."""

    __slots__ = (
        "_awaits_head", "_left", "_limits", "_lingers", "_parser", "_paused", "_request", "_task", "_unfed", "deadline",
        "heard", "is_tls", "peer", "streams",
    )  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self._limits = server.limits
        self._parser = RequestParser(server.limits.head_bytes)
        self._request: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._unfed = b""
        self._paused = False
        self._awaits_head = True
        self._left = False
        self._lingers = False
        self.streams = False
        """Whether the answer under way is a stream."""
        self.deadline = math.inf
        """By the server's time: `expire` is to be called then."""
        self.heard = server.time
        """When the last bytes came, or the last answer went."""
        self.peer = ""
        """The other side's address; empty for a Unix socket."""
        self.is_tls = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self.is_tls = transport.get_extra_info("sslcontext") is not None
        self.deadline = self._server.time + self._limits.head_seconds
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self.heard = self._server.time
        if self._lingers:
            return
        if self._unfed or len(data) > _PIECE_BYTES or self._is_ahead():
            self._unfed += data
            self._feed_pieces()
        else:
            self._parser.feed(data)
        self._go_on()

    def eof_received(self) -> bool:
        """A client that sends no more has most often left, and is told apart only by trying to answer it."""
        if self._request is None or self.streams or self.is_tls or not self._request.body.complete:
            return False
        self._left = True
        self._loop.call_later(_LEFT_SECONDS, self._leave)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.deadline = math.inf
        self._server.forget(self)
        self._parser.close()
        self.resume_writing()
        self.cancel()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._request is None and self.transport is not None:
            self._go_on()

    # What the server and handlers do.

    @property
    def draining(self) -> bool:
        """Whether the connection should end with the answer that begins now, and say so."""
        return self._server.draining

    @property
    def date(self) -> str:
        """Now, as HTTP writes it."""
        return self._server.date

    @property
    def time(self) -> float:
        """The loop's time at the last sweep: good enough for waits of seconds, and free."""
        return self._server.time

    def hand_over(self, protocol: asyncio.Protocol) -> bytes:
        """From now on the socket is `protocol`'s, which must answer; what was read beyond the request is returned.

        Only for a request that `upgrades`. The handler lives on until it returns, an answer that is `sent`.
        """
        assert self.transport is not None, "a handler whose client left is cancelled"
        self.transport.set_protocol(protocol)
        self.transport = None
        self._server.forget(self)
        return self._parser.rest

    def cancel(self) -> None:
        """Cancels what handles the request under way, which may still answer."""
        if self._task is not None:
            self._task.cancel()

    def sweep(self, now: float) -> None:
        """Looks whether a wait is over."""
        super().sweep(now)
        if now >= self.deadline:
            self._expire()

    def close_if_quiet(self) -> None:
        """Closes it where no request runs or is on its way, as far as anybody can know here."""
        if self._request is not None or self._parser.requests or self._parser.in_head or self.transport is None:
            return
        if self._server.time - self.heard >= _QUIET_SECONDS and not self._has_unread():
            self._close()

    # The rest is between these.

    def _feed_pieces(self) -> None:
        """Reads on as long as no second request waits."""
        parser, data, start = self._parser, self._unfed, 0
        while start < len(data) and not self._is_ahead():
            end = start + parser.wanted_bytes(_PIECE_BYTES)
            parser.feed(data[start:end])
            start = end
        self._unfed = data[start:]

    def _is_ahead(self) -> bool:
        return len(self._parser.requests) > (self._request is None)

    def _go_on(self) -> None:
        """After bytes came or an answer went: begins the next request where none runs, and sets what is waited for."""
        if self._request is None:
            self._begin_next()
        if self._unfed and not self._is_ahead():
            self._feed_pieces()
        request, held = self._request, len(self._unfed)
        if request is not None:
            body = request.body
            waits = body.wanted and not body.complete
            self.deadline = self._server.time + self._limits.body_seconds if waits else math.inf
            if not body.wanted:
                held = max(held, body.size)
        elif self._parser.in_head and not self._awaits_head:
            self._awaits_head = True
            self.deadline = self._server.time + self._limits.head_seconds
        if (held > _UNASKED_BYTES) is not self._paused and self.transport is not None:
            self._paused = not self._paused
            (self.transport.pause_reading if self._paused else self.transport.resume_reading)()

    def _begin_next(self) -> None:
        if self.writing_paused or self.transport is None or self.transport.is_closing():
            return
        requests = self._parser.requests
        if not requests and self._unfed:
            self._feed_pieces()
        if not requests:
            return
        request = requests.popleft()
        request.came_over(self)
        if not request.body.complete:
            request.body.when_wanted(self._ask_for_body)
        self._request = request
        self._awaits_head = False
        self._task = self._loop.create_task(self._handle(request))

    def _ask_for_body(self) -> None:
        request = self._request
        if request is None:
            return
        asks = request.version == "1.1" and request.fields.get("expect", "").lower() == "100-continue"
        if asks and request.body.size == 0:
            self.write(_CONTINUE)
        self._go_on()

    async def _handle(self, request: Request) -> None:
        try:
            answer = await self._server.handle(request)
            if not answer.sent:
                self._send(request, answer)
        except ConnectionError:
            self.abort()
            return
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception:
            _logger.exception("A request broke outside its handler")
            self.abort()
            return
        finally:
            # A task that failed keeps the frames that it failed in, and so this: that would be a circle.
            self._task = self._request = None
        if self.transport is not None:
            self._end(request, answer.closes)

    def _send(self, request: Request, answer: Answer) -> None:
        answer.closes = answer.closes or not self.keeps(request)
        framing = f"content-length: {len(answer.body)}\r\n" if has_body(answer.status) else ""
        framing += persistence(request, answer.closes)
        head = write_head(answer.status, answer.fields, self._server.date, framing)
        if request.method == "HEAD" or not answer.body:
            self.write(head)
        elif len(answer.body) <= _JOINED_BYTES:
            self.write(head + answer.body)
        else:
            self.write(head)
            self.write(answer.body)

    def keeps(self, request: Request) -> bool:
        """Whether another request may follow on the connection, as far as is known before the answer goes."""
        body = request.body
        if not request.persists or self._server.draining or body.broken:
            return False
        if body.complete:
            return True
        # What little is missing is thrown away as it comes; who asks before sending it may never send it.
        return body.length is not None and body.length - body.size <= _UNASKED_BYTES and "expect" not in request.fields

    def _end(self, request: Request, closes: bool) -> None:
        """The answer went."""
        now = self._server.time
        self.heard = now
        self._request = None
        self.streams = False
        more = bool(self._parser.requests or self._unfed)
        if closes or (self._left and not more):
            self._close(lingers=not request.body.complete or bool(self._unfed))
            return
        self.deadline = now + self._limits.keep_seconds
        if more or self._paused or self._parser.in_head:
            self._go_on()

    def _leave(self) -> None:
        if self._request is not None:
            self.abort()

    def _close(self, lingers: bool = False) -> None:
        """Ends it once all is sent; `lingers` while the client still sends what nobody reads."""
        transport = self.transport
        if transport is None:
            return
        if lingers:
            self._lingers = True
            self._unfed = b""
            if self._paused:
                self._paused = False
                transport.resume_reading()
            self.deadline = self._server.time + _LINGER_SECONDS
            if transport.can_write_eof():
                transport.write_eof()
            return
        self.deadline = self._server.time + self._limits.stall_seconds
        transport.close()

    def _expire(self) -> None:
        request = self._request
        if request is None or request.body.complete:
            self.abort()
            return
        self.deadline = math.inf
        request.body.fail(BodyTimeout(self._limits.body_seconds))

    def _has_unread(self) -> bool:
        sock = self.transport.get_extra_info("socket") if self.transport is not None else None
        if sock is None or sock.fileno() < 0:
            return False
        waiting: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))[0]
        return waiting > 0


def persistence(request: Request, closes: bool) -> str:
    """The line that says whether the connection stays, where the version does not say it already."""
    if closes:
        return "connection: close\r\n"
    return "connection: keep-alive\r\n" if request.version == "1.0" else ""
