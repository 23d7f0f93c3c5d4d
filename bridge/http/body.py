"""A request's body on its way in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.caller import MAX_BODY_BYTES
from bridge.errors import BridgeError, TooLarge


class IncomingBody:
    """Bytes as they come. Until somebody reads them only a little is taken from the socket."""

    __slots__ = ("_begin", "_fault", "_first", "_rest", "_waiter", "complete", "length", "size", "wanted")

    def __init__(self, length: int | None) -> None:
        """`length` in bytes as the request said, None where it comes in chunks."""
        self.length = length
        self.size = 0
        self.complete = False
        self.wanted = False
        """Whether somebody reads it."""
        self._first: bytes = b""
        self._rest: bytearray | None = None
        self._fault: BridgeError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._begin: Callable[[], None] | None = None

    @property
    def exists(self) -> bool:
        """Whether the request has one, empty or not."""
        return self.length is None or self.length > 0

    @property
    def broken(self) -> bool:
        """Whether no more of it can be read."""
        return self._fault is not None

    def when_wanted(self, begin: Callable[[], None]) -> None:
        """`begin` is called once somebody reads a body that did not come whole."""
        self._begin = begin

    async def read(self) -> bytes:
        """All of it. Raises `TooLarge` as soon as that is known, and what `fail` was given."""
        if self.length is not None and self.length > MAX_BODY_BYTES:
            raise TooLarge(MAX_BODY_BYTES)
        self.wanted = True
        if not self.complete and self._fault is None and self._begin is not None:
            self._begin()
        while not self.complete and self._fault is None and self.size <= MAX_BODY_BYTES:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.size > MAX_BODY_BYTES:
            raise TooLarge(MAX_BODY_BYTES)
        if self._fault is not None:
            raise self._fault
        return self._first if self._rest is None else bytes(self._rest)

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self.size += len(data)
        if self.size > MAX_BODY_BYTES:
            # Nobody will read it; what came is not kept.
            self._first, self._rest = b"", None
        elif self._rest is not None:
            self._rest += data
        elif not self._first:
            self._first = data
        else:
            self._rest = bytearray(self._first)
            self._rest += data
            self._first = b""
        if self.size > MAX_BODY_BYTES:
            self._wake()

    def end(self) -> None:
        """It came whole."""
        self.complete = True
        self._wake()

    def fail(self, fault: BridgeError) -> None:
        """It will not come whole: whoever reads gets this."""
        if not self.complete and self._fault is None:
            self._fault = fault
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
