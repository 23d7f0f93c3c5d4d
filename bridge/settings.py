"""What can be set about the bridge; `cli` fills it from the platform's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MAX_HEADER_BYTES = 16 * 1024
"""Most bytes of names and values of a request's headers."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Seconds are floats; every default is what production runs with."""

    version: str = "0.1.0"
    """Shown by `/health`."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    cors_origins: tuple[str, ...] = ()
    """Origins, exactly as browsers send them, that pages may call from."""
    openapi_path: Path | None = None
    """The generated document that `/openapi.json` serves; None: not served, and neither is `/docs`."""
    call_timeout: float | None = None
    """Deadline of each call; None leaves it to the server."""
    ping_seconds: float = 15.0
    """Silence of a stream after which a keep-alive comment is sent."""
    header_seconds: float = 10.0
    """Longest time for the headers of a request, from its first byte (of the first: from the connection)."""
    body_idle_seconds: float = 30.0
    """Longest silence inside a body."""
    stall_seconds: float = 60.0
    """Longest time that a reader may take nothing of what waits for it."""
    keep_alive_seconds: float = 75.0
    """Longest idle time of a connection between requests."""
