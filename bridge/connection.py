"""Connections as aiohttp serves them, with the patience of each side bounded.

aiohttp itself never gives up on headers that trickle in or on a reader that takes nothing; both would hold memory for
as long as a stranger likes. Broken HTTP is answered in our own form, with a request id.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import struct
import termios
from collections.abc import Callable
from typing import Any, Final

from aiohttp.web import BaseRequest, RequestHandler, Response, Server, StreamResponse

from bridge.settings import MAX_HEADER_BYTES, BridgeSettings

_logger = logging.getLogger(__name__)

_QUIET_SECONDS: Final = 1.0
"""A connection that has been silent for so long is not about to send a request."""
_LOOK_SECONDS: Final = 0.05

BrokenRequestAnswer = Callable[[BaseRequest, int], Response]
"""Makes the answer of a request that is not HTTP (400), or that broke the server's own code (500)."""


class Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_answer_broken", "_door", "_header_timer", "_heard", "_settings", "_stall_timer", "_stalled_bytes")

    def __init__(self, door: Door, settings: BridgeSettings, answer_broken: BrokenRequestAnswer) -> None:
        super().__init__(
            door,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=settings.keep_alive_seconds,
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,
            max_field_size=MAX_HEADER_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            max_headers=100,
            lingering_time=2.0,
        )
        self._door = door
        self._heard = 0.0
        self._settings = settings
        self._answer_broken = answer_broken
        self._header_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._stalled_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to wait for the first headers."""
        super().connection_made(transport)
        self._heard = self._loop.time()
        self._header_timer = self._loop.call_later(self._settings.header_seconds, self._cut)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; headers that began must end in time."""
        self._heard = self._loop.time()
        super().data_received(data)
        waits_for_headers = self._waiter is not None and not self._waiter.done()
        if not waits_for_headers and self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        elif waits_for_headers and self._header_timer is None:
            self._header_timer = self._loop.call_later(self._settings.header_seconds, self._cut)

    def pause_writing(self) -> None:
        """The reader is behind: from now on it must take something within each `stall_seconds`."""
        super().pause_writing()
        self._stalled_bytes = self._waiting_bytes()
        self._stall_timer = self._loop.call_later(self._settings.stall_seconds, self._check_stall)

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._cancel_stall_timer()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends the timers with the connection."""
        self._cancel_stall_timer()
        if self._header_timer is not None:
            self._header_timer.cancel()
        super().connection_lost(exc)

    @property
    def draining(self) -> bool:
        """Whether the connection should end with the answer that begins now, and say so."""
        return self._door.draining

    def close_if_quiet(self) -> None:
        """Closes the connection where no request runs or is on its way, as far as anybody can know here."""
        if self._waiter is None or self._waiter.done() or self.transport is None:
            return
        answered = self._next_keepalive_close_time - self._settings.keep_alive_seconds
        if self._loop.time() - max(self._heard, answered) >= _QUIET_SECONDS and not self._has_unread():
            self.force_close()

    def _has_unread(self) -> bool:
        sock = self.transport.get_extra_info("socket") if self.transport is not None else None
        if sock is None or sock.fileno() < 0:
            return False
        waiting: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))[0]
        return waiting > 0

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:
        """Answers what aiohttp could not parse or what broke outside the bridge's handler; both end the connection.

        A reader that left, or that was cut because its stream broke, is no fault to log and cannot be told anything.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        if status >= 500:
            _logger.error("A request broke outside its handler", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("An answer was begun already; the error cannot be told any more.")
        response = self._answer_broken(request, status)
        response.force_close()
        return response

    def _check_stall(self) -> None:
        waiting = self._waiting_bytes()
        if waiting >= self._stalled_bytes:
            self._cut()
            return
        self._stalled_bytes = waiting
        self._stall_timer = self._loop.call_later(self._settings.stall_seconds, self._check_stall)

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _waiting_bytes(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _cancel_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class Door(Server):
    """Makes a `Connection` of every accepted socket. A handler is cancelled as soon as its client is gone."""

    def __init__(
        self,
        handler: Callable[[BaseRequest], Any],
        settings: BridgeSettings,
        answer_broken: BrokenRequestAnswer,
    ) -> None:
        """Must be made inside the running loop."""
        super().__init__(handler, handler_cancellation=True)
        self.draining = False
        self._bridge_settings = settings
        self._answer_broken = answer_broken

    def __call__(self) -> RequestHandler:
        """The protocol of one more connection."""
        return Connection(self, self._bridge_settings, self._answer_broken)

    async def drain(self, seconds: float) -> None:
        """Lets open requests end, and has each client leave its connection without losing one.

        Answers say `Connection: close` from now on. A kept-alive connection is served until it has been told so or has
        been silent for a second: closing it at once would race the request that is on its way. Returns when no
        connection is left, or after `seconds`.
        """
        self.draining = True
        give_up = self._loop.time() + seconds
        while self.connections and self._loop.time() < give_up:
            for connection in self.connections:
                if isinstance(connection, Connection):
                    connection.close_if_quiet()
            await asyncio.sleep(_LOOK_SECONDS)
