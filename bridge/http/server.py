"""Accepts connections, looks after all their waits with one timer, and lets them end without losing a request."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Final

from bridge.http.answer import Answer
from bridge.http.connection import Connection
from bridge.http.limits import Limits
from bridge.http.request import Request

_LOOK_SECONDS: Final = 0.05
_BACKLOG: Final = 1024
_SHORTEST_HANDSHAKE_SECONDS: Final = 1.0

Handle = Callable[[Request], Awaitable[Answer]]
"""Answers one request. Is cancelled when its client leaves. What it raises ends the connection."""


class Server:
    """The HTTP server of one process, on one socket."""

    def __init__(
        self,
        handle: Handle,
        limits: Limits,
        wall_clock: Callable[[], float],
        on_sweep: Callable[[float], None] | None = None,
    ) -> None:
        """Must be made inside the running loop. `wall_clock`: Unix seconds; `on_sweep` is called with the loop's time
        at each sweep, for whoever else has waits to look after."""
        self.handle = handle
        self.limits = limits
        self.connections: set[Connection] = set()
        self.draining = False
        """Whether every answer that begins now ends its connection."""
        self.date = ""
        """Now, as HTTP writes it; at most one sweep old."""
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time()
        """The loop's time at the last sweep."""
        self._wall_clock = wall_clock
        self._on_sweep = on_sweep
        self._date_of = -1
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, listening: socket.socket, tls: ssl.SSLContext | None = None, sweep: float = 1.0) -> None:
        """Serves on a bound socket (listening already or not), with TLS where a context is given. `sweep`: most seconds
        between two sweeps."""
        self._sweep(min(sweep, self.limits.sweep_seconds))
        self._listener = await self._loop.create_server(
            lambda: Connection(self, self._loop),
            sock=listening,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else max(self.limits.head_seconds, _SHORTEST_HANDSHAKE_SECONDS),
            backlog=_BACKLOG,
        )

    def forget(self, connection: Connection) -> None:
        """The connection is no more, or somebody else's."""
        self.connections.discard(connection)

    def stop_listening(self) -> None:
        """Takes no new connections."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def drain(self, seconds: float) -> None:
        """Lets open requests end, and has each client leave its connection without losing one.

        Answers say `Connection: close` from now on. A kept-alive connection is served until it has been told so or has
        been silent for a second: closing it at once would race the request that is on its way. Returns when no
        connection is left, or after `seconds`.
        """
        self.draining = True
        give_up = self._loop.time() + seconds
        while self.connections and self._loop.time() < give_up:
            self.time = self._loop.time()
            for connection in tuple(self.connections):
                connection.close_if_quiet()
            await asyncio.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Ends what is left, at once."""
        self.stop_listening()
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self.connections):
            connection.abort()

    def _sweep(self, seconds: float) -> None:
        self.time = now = self._loop.time()
        second = int(self._wall_clock())
        if second != self._date_of:
            self._date_of = second
            self.date = formatdate(second, usegmt=True)
        for connection in tuple(self.connections):
            connection.sweep(now)
        if self._on_sweep is not None:
            self._on_sweep(now)
        self._timer = self._loop.call_later(seconds, self._sweep, seconds)
