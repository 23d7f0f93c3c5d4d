"""What a counter that Valkey does not know begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from server.limits.limits import Scope, Unit


@dataclass(frozen=True, slots=True)
class WantedSum:
    """Usage that a counter stands for: whole 15-minute buckets, since windows begin on them."""

    scope: Scope
    subject: str
    """As in `Limit`."""
    unit: Unit
    start: datetime
    end: datetime


class UsedSoFar(Protocol):
    """Reads usage from the database."""

    async def used(self, org_id: UUID, wanted: Sequence[WantedSum]) -> Sequence[int]:
        """Units of each, in their order. Raises `DatabaseUnavailableError`."""
        ...
