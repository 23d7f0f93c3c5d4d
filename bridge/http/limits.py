"""How long a connection waits for the other side, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes. Seconds are looked at by one sweep, so each may last a sweep longer."""

    head_bytes: int
    """Most bytes of a request's target, and of its fields' names and values, together."""
    head_seconds: float
    """Longest time for a head, from its first byte (of a connection's first: from the connection)."""
    body_seconds: float
    """Longest silence inside a body."""
    stall_seconds: float
    """Longest time that a reader may take nothing of what waits for it."""
    keep_seconds: float
    """Longest idle time between requests."""

    @property
    def sweep_seconds(self) -> float:
        """Time between two sweeps: a quarter of the shortest wait, at most one second."""
        shortest = min(self.head_seconds, self.body_seconds, self.stall_seconds, self.keep_seconds)
        return min(1.0, max(0.01, shortest / 4))
