"""The writing half of a connection: bytes to a client that may read slowly, or not at all."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.http.server import Server


class Outgoing(asyncio.Protocol):
    """A socket to write to. A client that takes nothing for `stall_seconds` is cut."""

    __slots__ = ("_drained", "_loop", "_server", "_stalled_bytes", "_stalled_until", "transport", "writing_paused")

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._drained: list[asyncio.Future[None]] = []
        self._stalled_bytes = 0
        self._stalled_until = math.inf
        self.transport: asyncio.Transport | None = None
        """None once it is gone."""
        self.writing_paused = False
        """Whether the client is behind with reading."""

    def pause_writing(self) -> None:
        self.writing_paused = True
        self._stalled_bytes = self._waiting_bytes()
        self._stalled_until = self._server.time + self._server.limits.stall_seconds

    def resume_writing(self) -> None:
        self.writing_paused = False
        self._stalled_until = math.inf
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        self._drained.clear()

    @property
    def lives(self) -> bool:
        """Whether the client is there, as far as anybody knows."""
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Sends bytes as they are. Raises ConnectionResetError where the client left."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("The client left.")
        self.transport.write(data)

    async def drained(self) -> None:
        """Waits until the client has caught up with reading. Raises ConnectionResetError where it left."""
        while self.writing_paused:
            waiter = self._loop.create_future()
            self._drained.append(waiter)
            await waiter
        if self.transport is None:
            raise ConnectionResetError("The client left.")

    def abort(self) -> None:
        """Ends it at once, unsent bytes too; what handles a request is cancelled."""
        if self.transport is not None:
            self.transport.abort()

    def sweep(self, now: float) -> None:
        """Looks whether the client's time is over."""
        if now >= self._stalled_until:
            waiting = self._waiting_bytes()
            if waiting >= self._stalled_bytes:
                self.abort()
            self._stalled_bytes = waiting
            self._stalled_until = now + self._server.limits.stall_seconds

    def _waiting_bytes(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()
