"""How long a provider may keep silent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. Silence is noticed at most a quarter, or a second, late."""

    connect: float = 5.0
    """For a connection: name, TCP, proxy and TLS together."""
    first_byte: float = 120.0
    """From the request to the head of the answer."""
    idle: float = 60.0
    """Between any two bytes of an answer."""
