"""A signed-in person's tokens, and when they are renewed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

_LONGEST_MARGIN: Final = 30.0
"""Seconds before an access token's end at which it is renewed at the latest; a tenth of its life where that is less."""


@dataclass(frozen=True, slots=True)
class Session:
    """What it takes to go on as the same person later, for instance in another process. Keep it secret."""

    access_token: str
    refresh_token: str
    """Good for one renewal. Using it a second time ends the session, so only one client may hold it."""
    renew_time: float
    """When the access token should be renewed, in Unix seconds."""

    def __repr__(self) -> str:
        """Without the tokens: what is printed ends in logs."""
        return f"Session(renew_time={self.renew_time})"


class Tokens(Protocol):
    """The part of `SessionTokens` that matters here, of either kind of message."""

    access_token: str
    refresh_token: str
    expires_in: int


def session_of(tokens: Tokens, now: float) -> Session:
    """The session of an answer that came at `now`, in Unix seconds."""
    margin = min(_LONGEST_MARGIN, tokens.expires_in / 10)
    return Session(tokens.access_token, tokens.refresh_token, now + tokens.expires_in - margin)


OnSession = Callable[[Session], None]


class AsyncSessionHolder:
    """Hands out an access token that is good now. Many calls at once renew it once."""

    def __init__(
        self,
        session: Session,
        renew: Callable[[str], Awaitable[Session]],
        clock: Callable[[], float],
        changed: OnSession | None,
    ) -> None:
        """`renew` trades a refresh token for the next session; `clock` gives Unix seconds."""
        self.session = session
        self._renew = renew
        self._clock = clock
        self._changed = changed
        self._renewal: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """An access token. Raises what the renewal raises."""
        if self._clock() >= self.session.renew_time:
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.get_running_loop().create_task(self._go_on())
            # Whoever waits may leave; a renewal that was begun is finished, for its refresh token is used up.
            await asyncio.shield(self._renewal)
        return self.session.access_token

    async def _go_on(self) -> None:
        self.session = await self._renew(self.session.refresh_token)
        if self._changed is not None:
            self._changed(self.session)


class SessionHolder:
    """The same for threads."""

    def __init__(
        self,
        session: Session,
        renew: Callable[[str], Session],
        clock: Callable[[], float],
        changed: OnSession | None,
    ) -> None:
        """See `AsyncSessionHolder`."""
        self.session = session
        self._renew = renew
        self._clock = clock
        self._changed = changed
        self._turn = threading.Lock()

    def token(self) -> str:
        """An access token. Raises what the renewal raises."""
        if self._clock() < self.session.renew_time:
            return self.session.access_token
        with self._turn:
            if self._clock() >= self.session.renew_time:
                self.session = self._renew(self.session.refresh_token)
                if self._changed is not None:
                    self._changed(self.session)
        return self.session.access_token
