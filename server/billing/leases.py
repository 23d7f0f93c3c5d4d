"""Spend leases of one process: admission in memory while money is plentiful.

    plentiful: take from the lease, no round trip
    low:       more is asked for ahead of need, while calls go on
    scarce:    `grant` answers None, and the caller opens a hold for the call in the database

A lease is given back when nothing was admitted for a while, when its time is over, and when another process starves
(`recall`). What calls took stays reserved until they are settled, however long they last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from server.billing import lease_metrics as metrics
from server.billing import lease_store, transfer_ids
from server.billing.hold_store import LOST_RACES
from server.billing.lease import LEASE_SECONDS, Lease, first_wanted
from server.foundation.clock import Clock
from server.foundation.crash_points import passing
from server.foundation.ids import NewId
from server.rpc.errors import UnavailableError
from server.storage.database import Database, DatabaseUnavailableError, Role

INVALIDATION_KIND: Final = "lease"
"""Announced with an organization's id: whoever has a lease of it gives back what is free."""

_SKEW_SECONDS: Final = 2.0
"""The database's clock may run so much ahead of ours within a lease's time."""
_IDLE_SECONDS: Final = 15.0
_RENEW_SECONDS: Final = 20.0
"""A lease in use is renewed so long before its end."""
_SCARCE_SECONDS: Final = 1.0
"""How long holds are used without asking for a lease again."""
_RECALLED_SECONDS: Final = 5.0
_STATEMENT_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 1.5
"""A caller that got no lease within this time has none left to wait for a hold."""
_STRAY: Final = timedelta(seconds=30)
"""Rows of ours that memory does not know, because their answer was lost, are closed at this age."""
_LATE_SECONDS: Final = 15.0
"""A statement whose answer was lost has ended by then: PostgreSQL ends each of ours after eleven."""
_MOST: Final = 2**56
"""Nano-dollars beyond which a call is not leased for: no balance has them."""
_FAILURES: Final = (DatabaseUnavailableError, *LOST_RACES)

_log = structlog.get_logger("billing")


class Leases:
    """The leases that this process holds."""

    def __init__(self, database: Database, process_id: UUID, clock: Clock, new_id: NewId) -> None:
        self._database = database
        self._process_id = process_id
        self._clock = clock
        self._new_id = new_id
        self._current: dict[tuple[UUID, str], Lease] = {}
        """Leases that admit, by organization and scope."""
        self._all: dict[UUID, Lease] = {}
        self._scarce: dict[tuple[UUID, str], float] = {}
        """Until when a hold for each call is right, by organization and model."""
        self._grants: dict[tuple[UUID, str], asyncio.Task[Lease | None]] = {}
        self._changes: dict[UUID, asyncio.Task[None]] = {}
        """Statements under way, one for a lease at a time."""

    def take(self, org_id: UUID, model_id: str, amount: int) -> Lease | None:
        """Admits a call of at most `amount` nano-dollars at once, or answers None where `grant` must be asked."""
        lease = self._current.get((org_id, "")) or self._current.get((org_id, model_id))
        if lease is None or not lease.take(amount, self._clock.monotonic()):
            return None
        if lease.is_low and lease.id not in self._changes:
            _ = self._begin_renewal(lease)
        return lease

    async def grant(self, org_id: UUID, model_id: str, amount: int) -> Lease | None:
        """Admits the call against a lease that the database gives or grows; None where a hold is right.

        Many calls at once ask once. Where the database is away, the hold says so; `UnavailableError` where that let
        the caller wait for so long that a hold would come too late.
        """
        began = self._clock.monotonic()
        lease = await self._wait_for_grant(org_id, model_id, amount)
        if lease is None and self._clock.monotonic() - began > _PATIENCE_SECONDS:
            raise UnavailableError("no lease: the database does not answer")
        return lease

    async def _wait_for_grant(self, org_id: UUID, model_id: str, amount: int) -> Lease | None:
        key, now = (org_id, model_id), self._clock.monotonic()
        if amount > _MOST or now < self._scarce.get(key, 0.0) or now < self._scarce.get((org_id, ""), 0.0):
            return None
        lease = self._current.get((org_id, "")) or self._current.get(key)
        if lease is not None and (change := self._changes.get(lease.id)) is not None:
            await asyncio.wait({change})
            return self.take(org_id, model_id, amount)
        grant = self._grants.get(key)
        if grant is None:
            grant = self._grants[key] = asyncio.ensure_future(self._grant(key, lease, amount))
            grant.add_done_callback(lambda _: self._grants.pop(key, None))
        await asyncio.wait({grant})
        granted = grant.result()
        return granted if granted is not None and granted.take(amount, self._clock.monotonic()) else None

    def settled(self, lease_id: UUID, charged: int) -> None:
        """So much of what the lease owed is in the ledger."""
        lease = self._all.get(lease_id)
        if lease is not None:
            lease.owed -= charged

    def taken(self, org_id: UUID) -> int:
        """Nano-dollars that running calls of the organization took from leases of this process."""
        return sum(lease.taken for lease in self._all.values() if lease.org_id == org_id)

    async def tend(self) -> None:
        """Renews what is used, gives back what is idle or past its time. To be called every second."""
        now = self._clock.monotonic()
        for lease in list(self._all.values()):
            if lease.id in self._changes:
                continue
            if lease.lost and now - lease.lost > _LATE_SECONDS:
                await self._track(lease.id, asyncio.ensure_future(self._trim(lease)))
            elif now >= lease.good_until or now - lease.used > _IDLE_SECONDS:
                await self._retire(lease)
            elif now > lease.good_until - _RENEW_SECONDS:
                _ = self._begin_renewal(lease)
        self._scarce = {key: until for key, until in self._scarce.items() if until > now}
        metrics.show(self._all.values())

    async def close_strays(self) -> None:
        """Gives back rows of ours that memory does not know: their answer was lost. To be called every half minute."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            rows = await lease_store.list_of_process(transaction, self._process_id)
        for row in rows:
            if row["id"] not in self._all and row["age"] > _STRAY:
                await self._resize(row["org_id"], row["id"], lease_store.EVERYTHING, 0.0)

    async def recall(self, org_id: UUID) -> None:
        """Another call of the organization starves: gives back what is free, and takes no new lease for a while."""
        until = self._clock.monotonic() + _RECALLED_SECONDS
        for lease in [lease for lease in self._all.values() if lease.org_id == org_id]:
            self._scarce[(org_id, lease.scope)] = until
            await self._retire(lease)

    def forget(self, subject: str) -> None:
        """A recall that another process announced; `subject` is the organization's id."""
        org_id = UUID(subject)
        if any(lease.org_id == org_id for lease in self._all.values()):
            _ = self._track(org_id, asyncio.ensure_future(self.recall(org_id)))

    async def close(self) -> None:
        """Gives everything back that no running call took. What cannot be given back, the reaper finds."""
        if self._changes:
            await asyncio.wait(self._changes.values())
        # Side by side: there is little time, and as many of them as there are organizations.
        await asyncio.gather(*(self._retire(lease) for lease in list(self._all.values())))

    async def _grant(self, key: tuple[UUID, str], lease: Lease | None, amount: int) -> Lease | None:
        try:
            if lease is not None and self._clock.monotonic() < lease.good_until:
                await asyncio.wait({self._begin_renewal(lease, amount)})
                if lease.free >= amount:
                    return lease
            else:
                opened = await self._open(*key, amount)
                if opened is not None:
                    return opened
        except _FAILURES as error:
            _log.debug("no lease", org=str(key[0]), error=repr(error))
        self._scarce[key] = self._clock.monotonic() + _SCARCE_SECONDS
        return None

    async def _open(self, org_id: UUID, model_id: str, amount: int) -> Lease | None:
        before, lease_id = self._clock.monotonic(), self._new_id()
        pending = transfer_ids.lease_id(org_id, lease_id, "pending")
        arguments = (org_id, lease_id, pending, self._process_id, model_id, amount, first_wanted(amount), LEASE_SECONDS)
        row = await self._ask(lease_store.open_lease, *arguments)
        passing("lease granted")
        if row["amount"] is None:
            return None
        lease = Lease(
            id=lease_id,
            org_id=org_id,
            funding=row["funding"],
            plan_id=row["plan"],
            scope=row["scope"],
            free=row["amount"],
            outside=row["available"],
            good_until=before + row["seconds"] - _SKEW_SECONDS,
            opened=before,
            used=before,
            since=before,
            largest=amount,
        )
        self._all[lease_id] = lease
        self._current[(org_id, lease.scope)] = lease
        metrics.count_grant()
        return lease

    def _begin_renewal(self, lease: Lease, amount: int = 0) -> asyncio.Task[None]:
        return self._track(lease.id, asyncio.ensure_future(self._renew_quietly(lease, max(amount, lease.largest))))

    def _track(self, key: UUID, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._changes[key] = task
        task.add_done_callback(lambda _: self._untrack(key, task))
        return task

    def _untrack(self, key: UUID, task: asyncio.Task[None]) -> None:
        # Another may have begun beside it.
        if self._changes.get(key) is task:
            del self._changes[key]

    async def _renew_quietly(self, lease: Lease, amount: int) -> None:
        try:
            await self._renew(lease, amount)
        except _FAILURES as error:
            lease.lost = self._clock.monotonic()
            _log.debug("a lease was not renewed", org=str(lease.org_id), error=repr(error))

    async def _renew(self, lease: Lease, amount: int) -> None:
        """Asks for what is wanted beyond what is free, at least for one call of `amount`, and for new time."""
        before = self._clock.monotonic()
        wanted = max(lease.wanted, first_wanted(amount)) - lease.free
        lease.admitted, lease.since = 0, before
        row = await self._resize(lease.org_id, lease.id, max(wanted, 0), LEASE_SECONDS)
        if row is None:
            self._drop(lease)
            return
        delta, lease.outside, seconds = row
        lease.free += delta
        if self._current.get((lease.org_id, lease.scope)) is not lease:
            # It was retired meanwhile.
            await self._give_back(lease)
            return
        lease.good_until = before + seconds - _SKEW_SECONDS
        metrics.count_renewal()

    async def _trim(self, lease: Lease) -> None:
        """Gives back what the database keeps beyond what is known here, after the answer to a change was lost."""
        step, lost = self._new_id(), lease.lost
        void, pending = (transfer_ids.lease_id(lease.org_id, step, kind) for kind in ("void", "pending"))
        try:
            await self._ask(lease_store.trim, lease.org_id, lease.id, void, pending, lease.known)
        except _FAILURES as error:
            lease.lost = self._clock.monotonic()
            _log.debug("a lease was not trimmed", org=str(lease.org_id), error=repr(error))
            return
        if lease.lost == lost:
            lease.lost = 0.0
        if self._current.get((lease.org_id, lease.scope)) is not lease:
            await self._give_back(lease)

    async def _retire(self, lease: Lease) -> None:
        """Admits nothing more against the lease and gives back what is free; all of it once nothing stands on it."""
        if self._current.get((lease.org_id, lease.scope)) is lease:
            del self._current[(lease.org_id, lease.scope)]
        lease.good_until = 0.0
        if lease.id not in self._changes:
            await self._give_back(lease)

    async def _give_back(self, lease: Lease) -> None:
        """What is free of a lease that admits nothing more."""
        if not (lease.free or lease.is_over):
            return
        over, free = lease.is_over, lease.free
        # Taken out of memory first: should the answer be lost, it is the database that keeps too much.
        lease.free = 0
        try:
            row = await self._resize(lease.org_id, lease.id, lease_store.EVERYTHING if over else -free, 0.0)
        except _FAILURES as error:
            lease.lost = self._clock.monotonic()
            _log.debug("a lease was not given back", org=str(lease.org_id), error=repr(error))
            return
        if row is None or over:
            self._drop(lease)

    def _drop(self, lease: Lease) -> None:
        lease.good_until = 0.0
        self._all.pop(lease.id, None)
        if self._current.get((lease.org_id, lease.scope)) is lease:
            del self._current[(lease.org_id, lease.scope)]

    async def _resize(self, org_id: UUID, lease_id: UUID, delta: int, seconds: float) -> tuple[int, int, float] | None:
        """(change, available, seconds), or None where the lease is no more."""
        step = self._new_id()
        void, pending = (transfer_ids.lease_id(org_id, step, kind) for kind in ("void", "pending"))
        row = await self._ask(lease_store.resize, org_id, lease_id, void, pending, delta, seconds)
        return None if row["delta"] is None else (row["delta"], row["available"], row["seconds"])

    async def _ask(self, statement: Callable[..., Awaitable[asyncpg.Record]], *arguments: object) -> asyncpg.Record:
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._database.statement() as transaction:
                return await statement(transaction, _STATEMENT_SECONDS, *arguments)
        except TimeoutError as error:
            raise DatabaseUnavailableError("no answer about a lease") from error
