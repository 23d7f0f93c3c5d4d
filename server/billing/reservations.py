"""Money for a call before the provider hears of it: from a lease while there is plenty, by its own hold when not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from server.billing import lease_metrics as metrics
from server.billing import leases as lease_book
from server.billing import transfer_ids
from server.billing.holds import Hold, HoldDetail, Holds
from server.billing.lease import Lease
from server.billing.leases import Leases
from server.foundation.clock import Clock
from server.storage import invalidation
from server.storage.database import Database, DatabaseUnavailableError

_NOBODY: Final = UUID(int=0)
_RECALL_SECONDS: Final = 1.0
"""Recalls of one organization are not announced more often."""

_log = structlog.get_logger("billing")


class Recalls:
    """Asks every process to give back what it can spare of an organization's money."""

    def __init__(self, database: Database, leases: Leases, hasten: Callable[[], Awaitable[None]], clock: Clock) -> None:
        """`hasten` tells other processes that something was announced; they would see it within half a second."""
        self._database = database
        self._leases = leases
        self._hasten = hasten
        self._clock = clock
        self._announced: dict[UUID, float] = {}

    async def recall(self, org_id: UUID) -> None:
        """Gives back this process's own at once, and announces it to the others, once a second at most."""
        await self._leases.recall(org_id)
        now = self._clock.monotonic()
        if now - self._announced.get(org_id, -_RECALL_SECONDS) < _RECALL_SECONDS:
            return
        self._announced = {known: at for known, at in self._announced.items() if now - at < _RECALL_SECONDS}
        self._announced[org_id] = now
        metrics.count_recall()
        try:
            async with self._database.tenant(org_id) as transaction:
                await invalidation.announce(transaction, lease_book.INVALIDATION_KIND, str(org_id))
        except DatabaseUnavailableError as error:
            _log.debug("a recall was not announced", org=str(org_id), error=repr(error))
            return
        await self._hasten()


class Reservations:
    """Sets a call's worst case aside."""

    def __init__(self, holds: Holds, leases: Leases) -> None:
        self._holds = holds
        self._leases = leases

    def take(self, org_id: UUID, call_id: UUID, model_id: str, amount: int) -> Hold | None:
        """The hold where it costs nothing or a lease has it; None where `open` must be asked."""
        if amount == 0:
            return Hold(transfer_ids.hold_id(org_id, call_id), org_id, _NOBODY, "", 0, 0)
        lease = self._leases.take(org_id, model_id, amount)
        return None if lease is None else _from_lease(lease, amount)

    async def open(
        self, *, org_id: UUID, call_id: UUID, model_id: str, amount: int, expire_time: datetime, detail: HoldDetail
    ) -> Hold:
        """As `Holds.open`, which is asked where no lease can be had, and with its errors."""
        lease = await self._leases.grant(org_id, model_id, amount)
        if lease is not None:
            return _from_lease(lease, amount)
        return await self._holds.open(
            org_id=org_id, call_id=call_id, model_id=model_id, amount=amount, expire_time=expire_time, detail=detail
        )


def _from_lease(lease: Lease, amount: int) -> Hold:
    return Hold(lease.id, lease.org_id, _NOBODY, lease.funding, amount, lease.available, lease.plan_id, lease)
