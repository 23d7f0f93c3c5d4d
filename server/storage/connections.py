"""Open connections of one role, handed out last in, first out.

asyncpg's own pool does more than is needed here (a task and a timer for each acquire, a reset for each release) and
took 38 of the 57 microseconds that a trivial statement costs. Every setting that this project makes is local to a
transaction, so a connection that comes back is as good as new; one whose statement was broken off is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

_CLOSE_SECONDS: Final = 2.0

Connect = Callable[[], Awaitable[asyncpg.Connection]]
"""Opens a connection. Raises asyncpg's errors, OSError and TimeoutError."""


class Connections:
    """At most `size` connections. Whoever finds none free waits in turn."""

    def __init__(self, connect: Connect, size: int, patience: float) -> None:
        """`patience`: seconds that a caller waits for a free connection."""
        self._connect = connect
        self._size = size
        self._patience = patience
        self._open = 0
        self._idle: list[asyncpg.Connection] = []
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._closed = False

    async def acquire(self) -> asyncpg.Connection:
        """A connection of the caller's own until `release`.

        Raises TimeoutError where none came free in time, and what `connect` raises.
        """
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open -= 1
        if self._open < self._size:
            return await self._open_one()
        return await self._wait()

    def release(self, connection: asyncpg.Connection, *, usable: bool) -> None:
        """Gives a connection back. One that is not `usable` is closed: nobody knows what it is in the middle of."""
        if not usable or self._closed or connection.is_closed():
            connection.terminate()
            self._open -= 1
            self._hand_on(None)
        elif not self._hand_on(connection):
            self._idle.append(connection)

    async def close(self) -> None:
        """Closes what is idle now, and the others as they come back."""
        self._closed = True
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        await asyncio.gather(*(connection.close(timeout=_CLOSE_SECONDS) for connection in idle), return_exceptions=True)

    async def _open_one(self) -> asyncpg.Connection:
        self._open += 1
        try:
            return await self._connect()
        except BaseException:
            self._open -= 1
            self._hand_on(None)
            raise

    async def _wait(self) -> asyncpg.Connection:
        turn: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                connection = await turn
        except BaseException:
            self._give_up(turn)
            raise
        return await self.acquire() if connection is None else connection

    def _give_up(self, turn: asyncio.Future[asyncpg.Connection | None]) -> None:
        """Whoever stops waiting passes on what was handed over in the same moment."""
        if not turn.done() or turn.cancelled():
            turn.cancel()
            return
        connection = turn.result()
        if connection is None:
            self._hand_on(None)
        else:
            self.release(connection, usable=True)

    def _hand_on(self, connection: asyncpg.Connection | None) -> bool:
        """To the first who still waits; None tells that there is room for a connection of one's own."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False
