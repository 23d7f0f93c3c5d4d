"""What the double remembers of one request: the oracle for what was delivered and when an upstream call ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Party(Enum):
    """Who ended an exchange."""

    CLIENT = auto()
    DOUBLE = auto()


@dataclass(slots=True)
class Request:
    """One request and what became of it. Times are `time.monotonic()` seconds of this process."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    received: float
    tokens: list[tuple[str, float]] = field(default_factory=list)
    """Each token that was written to the socket, and when."""
    reported_usage: Mapping[str, Any] | None = None
    """The usage that was sent, if any was."""
    closed: float | None = None
    """When the exchange ended: the answer was complete, or the connection was gone."""
    closed_by: Party | None = None
    """DOUBLE where the script ended the exchange; CLIENT where the other side left before that."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def text(self) -> str:
        """All tokens, joined."""
        return "".join(token for token, _ in self.tokens)

    def end(self, by: Party, now: float) -> None:
        """Records the end; only the first counts."""
        if self.closed is None:
            self.closed, self.closed_by = now, by
            self._ended.set()

    async def wait_closed(self, timeout: float = 5.0) -> None:
        """Returns once the exchange ended. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._ended.wait()
