"""Whether the caller of a running stream may still call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from server.foundation.clock import Clock
from server.rpc.errors import ApiError
from server.rpc.principal import Principal

SECONDS: Final = 1.0
"""How often a stream's credential is looked at again."""

_log = structlog.get_logger("credential_watch")


class CredentialWatch:
    """Looks at the credential again once a second, beside the stream: a slow check never holds a message up."""

    def __init__(self, check: Callable[[], Awaitable[None]], caller: Principal, clock: Clock) -> None:
        """`check` raises an `ApiError` where the caller may not call any more."""
        self._check = check
        self._caller = caller
        self._clock = clock
        self._next = clock.monotonic() + SECONDS
        self._running: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Called at each message. Raises the `ApiError` of a check that ended; starts the next one when it is due.

        While the database is away streams go on, and so does one whose access token merely expired: it was valid
        when the call began, and a token is no longer looked up after its time.
        """
        if self._running is not None:
            self._take_result(self._running)
        elif self._clock.monotonic() >= self._next and not self._outlived_its_token():
            self._running = asyncio.ensure_future(self._check())

    def stop(self) -> None:
        """Ends a check that still runs. Must be called in every ending."""
        if self._running is not None:
            self._running.cancel()

    def _take_result(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            return
        self._running, self._next = None, self._clock.monotonic() + SECONDS
        error = task.exception()
        if isinstance(error, ApiError):
            raise error
        if error is not None:
            _log.warning("a stream's credential could not be checked", error=repr(error))

    def _outlived_its_token(self) -> bool:
        caller = self._caller
        return caller.user_id is not None and caller.expire_time is not None and caller.expire_time <= self._clock.now()
