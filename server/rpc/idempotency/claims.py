"""Who runs a call: one claim a key, committed before the call has any effect."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.rpc.idempotency import store
from server.rpc.idempotency.caller_key import CallerKey
from server.rpc.idempotency.errors import InFlightError, MismatchError
from server.rpc.idempotency.outcome import Outcome, unseal
from server.storage.database import Database, Transaction

_TRIES: Final = 5
"""A key may be released between two looks at it."""


class Holders(Protocol):
    """The processes that run calls. Bound in `server.app`."""

    async def has_ended(self, process_id: UUID) -> bool:
        """Whether the process is known to be dead; False where nobody can tell."""
        ...


class GivenUp(Protocol):
    """Hears, inside the transaction, of a metered run that nobody will answer for: its charge is to be taken back."""

    async def __call__(self, transaction: Transaction, org_id: UUID, run_id: UUID, process_id: UUID) -> None: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A run's right to carry a call out."""

    key: CallerKey
    run_id: UUID
    metered: bool


class Claims:
    """Takes, keeps and gives back claims for one process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        new_id: NewId,
        process_id: UUID,
        holders: Holders,
        given_up: GivenUp,
        life: timedelta,
    ) -> None:
        """`life`: how long an outcome is kept."""
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._process_id = process_id
        self._holders = holders
        self._given_up = given_up
        self._life = life
        self._running: set[UUID] = set()

    async def take(self, key: CallerKey, fingerprint: bytes, *, metered: bool) -> Claim | Outcome:
        """The claim, or the outcome of the call that was done before. `end` must follow a claim in every ending.

        Raises `InFlightError`, `MismatchError` and `DatabaseUnavailableError`.
        """
        claim = Claim(key, self._new_id(), metered)
        self._running.add(claim.run_id)
        taken = False
        try:
            found = await self._take(claim, fingerprint)
            taken = found is claim
            return found
        finally:
            if not taken:
                self.end(claim)

    async def _take(self, claim: Claim, fingerprint: bytes) -> Claim | Outcome:
        for _ in range(_TRIES):
            row = await self._claim_or_get(claim, fingerprint)
            if isinstance(row, Claim):
                return row
            if row is None:
                continue
            if not hmac.compare_digest(row["fingerprint"], fingerprint):
                raise MismatchError
            if row["outcome"] is not None:
                return unseal(row["outcome"], claim.key)
            if not await self._is_over(row["run_id"], row["process_id"]):
                raise InFlightError
            if await self._take_over(claim, row["run_id"], row["process_id"]):
                return claim
        raise InFlightError("others were quicker each time")

    def end(self, claim: Claim) -> None:
        """The run is over, however it ended. Where its claim is still there, the next call with its key takes it."""
        self._running.discard(claim.run_id)

    async def finish(self, transaction: Transaction, claim: Claim, outcome: Outcome) -> None:
        """Keeps the outcome, in a transaction that sees the organization. Raises `InFlightError` where the claim was
        taken over: then the transaction must not commit."""
        if not await store.finish(transaction, claim.key, claim.run_id, outcome.seal(claim.key)):
            raise InFlightError(f"run {claim.run_id} lost its claim")

    async def keep(self, claim: Claim, outcome: Outcome) -> None:
        """The same in a transaction of its own."""
        async with self._database.tenant(claim.key.org_id) as transaction:
            await self.finish(transaction, claim, outcome)

    async def release(self, claim: Claim) -> None:
        """Makes the key free: the call changed nothing."""
        async with self._database.tenant(claim.key.org_id) as transaction:
            await store.release(transaction, claim.key, claim.run_id)

    async def give_up(self, claim: Claim) -> None:
        """Makes the key free, and has the run's charge taken back: it was broken off, and nobody has its answer."""
        async with self._database.tenant(claim.key.org_id) as transaction:
            await store.release(transaction, claim.key, claim.run_id)
            await self._announce(transaction, claim, claim.run_id, self._process_id)

    async def _claim_or_get(self, claim: Claim, fingerprint: bytes) -> Claim | asyncpg.Record | None:
        now = self._clock.now()
        async with self._database.tenant(claim.key.org_id) as transaction:
            times = (now, now + self._life)
            if await store.claim(transaction, claim.key, fingerprint, claim.run_id, self._process_id, *times):
                return claim
            return await store.get(transaction, claim.key)

    async def _is_over(self, run_id: UUID, process_id: UUID) -> bool:
        if process_id == self._process_id:
            return run_id not in self._running
        return await self._holders.has_ended(process_id)

    async def _take_over(self, claim: Claim, before: UUID, process_id: UUID) -> bool:
        now = self._clock.now()
        async with self._database.tenant(claim.key.org_id) as transaction:
            times = (now, now + self._life)
            if not await store.take_over(transaction, claim.key, before, claim.run_id, self._process_id, *times):
                return False
            await self._announce(transaction, claim, before, process_id)
            return True

    async def _announce(self, transaction: Transaction, claim: Claim, run_id: UUID, process_id: UUID) -> None:
        if claim.metered:
            await self._given_up(transaction, claim.key.org_id, run_id, process_id)
