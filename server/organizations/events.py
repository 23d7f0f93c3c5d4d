"""What organizations tell the capabilities above them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from server.storage.database import Transaction


@dataclass(frozen=True, slots=True)
class OrganizationCreated:
    """A new organization, not yet committed."""

    org_id: UUID
    name: str
    time: datetime
    """When it was made; UTC."""
    anonymous: bool = False
    """True where nobody is in it: it was made for a trial key."""


class OrganizationListener(Protocol):
    """Hears of new organizations. Bound in `server.app`."""

    async def organization_created(self, transaction: Transaction, event: OrganizationCreated) -> None:
        """Runs inside the transaction that makes the organization and may write its rows; raising undoes it all."""
        ...
