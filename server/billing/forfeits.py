"""Giving up leases whose holder cannot be reached any more.

A lease of a process on a lost machine stays reserved: nobody can prove the process dead, and its journal may hold calls
that were delivered. An operator who knows that the machine is gone forfeits the lease: what is left of it goes back to
the organization, and calls that come to light later are charged to the platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from server.audit import entries
from server.billing import lease_store
from server.foundation import ids
from server.foundation.clock import Clock
from server.storage.database import Database, Role

ALIVE: Final = timedelta(seconds=60)
"""A process that was heard of so lately is taken for alive."""


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease as an operator sees it. Amounts in nano-dollars."""

    id: UUID
    org_id: UUID
    process_id: UUID
    host: str
    """Empty where the process has left no trace."""
    heartbeat_time: datetime | None
    funding: str
    model_id: str
    """Empty: every model."""
    amount: int
    drawn: int
    expire_time: datetime

    @property
    def left(self) -> int:
        """What is still reserved."""
        return self.amount - self.drawn


class LeaseHeldError(Exception):
    """The lease's holder was heard of within the last minute: it gives the lease back itself."""


class Forfeits:
    """Lists leases, and gives up those of lost machines."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list_leases(self) -> Sequence[LeaseRow]:
        """Every lease, oldest first."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            rows = await lease_store.list_all(transaction)
        return [LeaseRow(**dict(row)) for row in rows]

    async def forfeit(self, lease_id: UUID) -> LeaseRow | None:
        """Gives back what is left of the lease, audited; None where there is no such lease. Raises `LeaseHeldError`."""
        lease = next((row for row in await self.list_leases() if row.id == lease_id), None)
        if lease is None:
            return None
        heard = lease.heartbeat_time
        if heard is not None and self._clock.now() - heard < ALIVE:
            raise LeaseHeldError(f"process {lease.process_id} on {lease.host} was heard of at {heard:%H:%M:%S} UTC")
        async with self._database.tenant(lease.org_id) as transaction:
            await lease_store.close(transaction, lease.org_id, lease.id)
            await entries.record_by_system(transaction, lease.org_id, "lease.forfeit", ids.to_text(ids.LEASE, lease.id))
        return lease
