"""HTTP towards providers, as small as adapters need it, so that the client behind it can change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol


class TransportError(Exception):
    """The exchange broke: refused, reset, cut off, not HTTP."""


class TransportTimeoutError(TransportError):
    """The other side kept silent for too long."""


class ResponseTooLargeError(TransportError):
    """More bytes than are read of one answer."""


class Response(Protocol):
    """An answer whose head came."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields by lower-case name."""
        ...

    async def read(self) -> bytes:
        """The bytes that came since, at least one; empty at the end. Raises `TransportError`."""
        ...

    async def read_all(self, limit: int) -> bytes:
        """All that is left. Raises `TransportError`, `ResponseTooLargeError` beyond `limit` bytes."""
        ...

    def close(self) -> None:
        """Keeps the connection where the answer was read whole, else closes it at once. Repeatable.

        A read that waits meanwhile fails.
        """
        ...


class Transport(Protocol):
    """A pool of connections."""

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        on_sent: Callable[[], None],
        longest: float = math.inf,
    ) -> Response:
        """Sends a request and waits for the head of its answer; redirects are not followed. Request and answer may last
        `longest` seconds together, then whoever waits for more of it fails.

        Cancelling closes the connection. Raises `TransportError`.
        """
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...
