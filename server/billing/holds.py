"""Holds: the worst case of a call is set aside before the provider hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from server.billing import hold_store, transfer_ids
from server.billing.errors import BalanceInsufficientError, BalanceReservedError, NoSubscriptionError
from server.billing.lease import Lease
from server.foundation.crash_points import passing
from server.rpc.errors import InternalError, UnavailableError
from server.storage.database import Database, DatabaseUnavailableError

_WAITS: Final = (0.02, 0.04, 0.08, 0.12, 0.16, 0.2, 0.2, 0.18)
"""Seconds between tries while other calls hold the money: one second in all."""

_MOST: Final = 2**62
"""Nano-dollars that one hold can name, far beyond any balance."""

_STATEMENT_SECONDS: Final = 2.0
"""Longest wait for a connection and the hold's statement: a caller hears in time that the database hangs."""

_NO_ACCOUNT: Final = UUID(int=0)


class HoldDetail(msgspec.Struct, frozen=True):
    """What the usage event of a call says whose process died before settling it."""

    model_id: str
    key_id: UUID | None
    user_id: UUID | None
    request_id: str
    streamed: bool
    create_time: datetime


class Hold(msgspec.Struct, frozen=True):
    """Money set aside for one call."""

    id: UUID
    org_id: UUID
    account_id: UUID
    """The account that pays; all zeros where nothing is held."""
    funding: str
    """"package", "promo", "wallet" or "postpaid"; empty where nothing is held."""
    amount: int
    """Nano-dollars held; 0 for calls that cost nothing."""
    available: int
    """Nano-dollars that are left after it, over all accounts that may pay for the model. 0 where nothing is held."""
    plan_id: str = ""
    """The plan in force; empty where nothing is held."""
    lease: Lease | None = None
    """The lease that it was taken from; None for a hold of its own in the database, or where nothing is held."""


class Holds:
    """Opens holds for the calls of one process. `usage.metering` closes them."""

    def __init__(
        self,
        database: Database,
        process_id: UUID,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        recall: Callable[[UUID], Awaitable[None]] | None = None,
    ) -> None:
        """`recall`: asks the holders of an organization's leases to give back what they can spare."""
        self._database = database
        self._process_id = process_id
        self._sleep = sleep
        self._recall = recall
        self.lost: dict[UUID, datetime | None] = {}
        """Holds that were asked for and whose answer never came: nobody will settle them, so the reaper looks whether
        they were opened all the same. The value is when it first looked."""

    async def open(
        self,
        *,
        org_id: UUID,
        call_id: UUID,
        model_id: str,
        amount: int,
        expire_time: datetime,
        detail: HoldDetail,
    ) -> Hold:
        """Sets `amount` nano-dollars aside until the call is settled; waits up to a second for other calls' holds.

        A worst case of 0 holds nothing and asks nobody. A minute or more past `expire_time` this process's reaper
        voids the hold.
        Raises `BalanceInsufficientError`, `BalanceReservedError`, `NoSubscriptionError`, `UnavailableError`.
        """
        hold_id = transfer_ids.hold_id(org_id, call_id)
        if amount == 0:
            return Hold(hold_id, org_id, _NO_ACCOUNT, "", 0, 0)
        arguments = (org_id, hold_id, min(amount, _MOST), self._process_id, expire_time, call_id, model_id)
        about = (detail.key_id, detail.user_id, detail.request_id, detail.streamed, detail.create_time)
        row = await self._try(org_id, hold_id, *arguments, *about)
        if row["outcome"] == "reserved" and self._recall is not None:
            await self._recall(org_id)
        for wait in _WAITS:
            if row["outcome"] != "reserved":
                break
            await self._sleep(wait)
            row = await self._try(org_id, hold_id, *arguments, *about)
        _raise_refusal(row["outcome"], amount, row["available"])
        passing("hold granted")
        return Hold(hold_id, org_id, row["account"], row["funding"], amount, row["available"] or 0, row["plan"])

    async def _try(self, org_id: UUID, hold_id: UUID, *arguments: object) -> asyncpg.Record:
        """One try, and a second where the connection was lost: the first may have come through, which is then found."""
        try:
            return await self._once(*arguments)
        except asyncpg.UniqueViolationError:
            return await self._opened_before(org_id, hold_id)
        except hold_store.LOST_RACES:
            pass
        except DatabaseUnavailableError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise self._given_up(hold_id, error) from error
        try:
            row = await self._once(*arguments)
        except asyncpg.UniqueViolationError:
            return await self._opened_before(org_id, hold_id)
        except (DatabaseUnavailableError, *hold_store.LOST_RACES) as error:
            raise self._given_up(hold_id, error) from error
        if row["outcome"] == "held":
            return row
        # What stands in the way may be the first try's own hold; or that comes yet, and nobody would close it.
        found = await self._find(org_id, hold_id)
        if found is None:
            self.lost[hold_id] = None
        return found or row

    def _given_up(self, hold_id: UUID, error: Exception) -> UnavailableError:
        """The call ends here; the hold may have been opened all the same."""
        self.lost[hold_id] = None
        return UnavailableError(f"no hold: {error}")

    async def _once(self, *arguments: object) -> asyncpg.Record:
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._database.statement() as transaction:
                return await hold_store.hold(transaction, _STATEMENT_SECONDS, *arguments)
        except TimeoutError as error:
            raise DatabaseUnavailableError("no answer to a hold") from error

    async def _opened_before(self, org_id: UUID, hold_id: UUID) -> asyncpg.Record:
        row = await self._find(org_id, hold_id)
        if row is None:
            raise InternalError(f"hold {hold_id} was opened and closed before")
        return row

    async def _find(self, org_id: UUID, hold_id: UUID) -> asyncpg.Record | None:
        try:
            async with self._database.tenant(org_id) as transaction:
                return await hold_store.get_open_hold(transaction, hold_id)
        except DatabaseUnavailableError as error:
            raise self._given_up(hold_id, error) from error


def _raise_refusal(outcome: str, required: int, available: int) -> None:
    if outcome == "held":
        return
    if outcome == "reserved":
        raise BalanceReservedError(required, available)
    if outcome == "insufficient":
        raise BalanceInsufficientError(required, available)
    if outcome == "no_subscription":
        raise NoSubscriptionError
    raise InternalError(f"ledger_hold answered {outcome}")
