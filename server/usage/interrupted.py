"""Calls whose process died before it settled them: what its journal says of them is settled in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from server.billing.processes import IN_DATABASE, ProcessRow
from server.billing.reaper import AbandonedHold
from server.models.prices import Price, TokenCounts
from server.storage.database import Database, Role, Transaction
from server.usage import open_call_store, store
from server.usage.flush import EndedCall, Flusher, RefusedCallsError
from server.usage.journal import reader
from server.usage.journal.reader import JournaledCall
from server.usage.journal.records import Opened, time_of, uuid_of
from server.usage.journal.table import journaled
from server.usage.journal.writer import remove
from server.usage.metering import INTERRUPTED, Meter, MeteredCall, charges, settlement_arguments

_BATCH: Final = 500


class InterruptedCalls:
    """Settles for billing's reaper, which knows nothing of usage."""

    def __init__(self, database: Database, meter: Meter, flusher: Flusher, journals: Path) -> None:
        """`flusher` sends as the keeper; `journals` holds a folder for each process."""
        self._database = database
        self._meter = meter
        self._flusher = flusher
        self._journals = journals

    async def replay(self, row: ProcessRow, now: datetime) -> bool:
        """Settles what the dead process journaled: calls that ended as they ended, the others by what was handed over,
        flagged `interrupted`. Repeatable. Raises `DatabaseUnavailableError`, OSError and `RefusedCallsError`."""
        if row.journal == IN_DATABASE:
            return await self._replay_table(row, now)
        folder = self._folder_of(row)
        if folder is None:
            return False
        await self._settle(await asyncio.to_thread(reader.read, folder), now)
        return True

    async def _replay_table(self, row: ProcessRow, now: datetime) -> bool:
        """The same for calls that are remembered in the database; they go from there once they are settled."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            rows = await open_call_store.list_of_process(transaction, row.id)
        await self._settle([journaled(row) for row in rows], now)
        async with self._database.privileged(Role.KEEPER) as transaction:
            await open_call_store.delete(transaction, [row["id"] for row in rows])
        return True

    async def _settle(self, calls: Sequence[JournaledCall], now: datetime) -> None:
        alone = [call for call in calls if call.opened.hold and not call.opened.leased]
        for call in alone:
            hold_id = UUID(bytes=call.opened.hold)
            await self._meter.settle_for_dead(hold_id, metered(call, now))
        many = [_ended(call, now) for call in calls if call.opened.leased or not call.opened.hold]
        refused: list[EndedCall] = []
        for first in range(0, len(many), _BATCH):
            try:
                await self._flusher.send(many[first : first + _BATCH])
            except RefusedCallsError as error:
                refused += error.calls
        if refused:
            raise RefusedCallsError(refused)

    def forget(self, row: ProcessRow) -> None:
        """Removes the journal of a process that has nothing open any more."""
        folder = self._folder_of(row)
        if folder is not None:
            remove(folder)

    def _folder_of(self, row: ProcessRow) -> Path | None:
        """Its journal among ours first: a volume may be mounted elsewhere than where it was written."""
        told = [Path(row.journal_path)] if row.journal_path else []
        return next((folder for folder in (self._journals / str(row.id), *told) if folder.is_dir()), None)

    async def close(self, transaction: Transaction, hold: AbandonedHold, now: datetime) -> None:
        """Voids a hold that no journal knows, and writes an event without tokens, flagged `interrupted`."""
        detail = hold.detail
        call = MeteredCall(
            id=hold.call_id,
            org_id=hold.org_id,
            key_id=detail.key_id,
            user_id=detail.user_id,
            model_id=detail.model_id,
            provider=hold.provider,
            provider_call_id="",
            request_id=detail.request_id,
            attempt=1,
            create_time=detail.create_time,
            duration_ms=_milliseconds(detail.create_time, now),
            first_token_ms=0,
            streamed=detail.streamed,
            ending=INTERRUPTED,
            estimated=True,
            tokens=TokenCounts(),
            price=None,
            raw_usage=None,
            http_status=0,
        )
        await store.settle_call(transaction, settlement_arguments(hold.id, call))


def metered(call: JournaledCall, now: datetime) -> MeteredCall:
    """The call as it ended; one that was cut off by what was handed over, and its prompt if the provider took it."""
    opened, closed = call.opened, call.closed
    create_time = time_of(opened.create_time)
    return MeteredCall(
        id=UUID(bytes=opened.call),
        org_id=UUID(bytes=opened.org),
        key_id=uuid_of(opened.key),
        user_id=uuid_of(opened.user),
        model_id=opened.model,
        provider=opened.provider,
        provider_call_id=closed.provider_call if closed else "",
        request_id=opened.request,
        attempt=closed.attempt if closed else 1,
        create_time=create_time,
        duration_ms=closed.duration_ms if closed else _milliseconds(create_time, now),
        first_token_ms=closed.first_token_ms if closed else 0,
        streamed=opened.streamed,
        ending=closed.ending if closed else INTERRUPTED,
        estimated=closed.estimated if closed else True,
        tokens=TokenCounts(*closed.tokens) if closed else _handed_over(call),
        price=_price(opened),
        raw_usage=closed.raw_usage if closed else None,
        http_status=closed.http_status if closed else 0,
        profile=opened.profile,
    )


def _ended(call: JournaledCall, now: datetime) -> EndedCall:
    opened, ended = call.opened, metered(call, now)
    if call.closed is not None:
        charged, excess = call.closed.charged, call.closed.excess
    else:
        charged, excess = charges(ended, opened.reserved)
    return EndedCall(ended, uuid_of(opened.hold), opened.funding, charged, excess)


def _handed_over(call: JournaledCall) -> TokenCounts:
    progressed = call.progressed
    if progressed is None:
        return TokenCounts()
    return TokenCounts(input=call.opened.prompt, output=progressed.output, reasoning=progressed.reasoning)


def _price(opened: Opened) -> Price | None:
    if opened.price is None:
        return None
    return Price(*opened.price)


def _milliseconds(since: datetime, now: datetime) -> int:
    return max(0, int((now - since).total_seconds() * 1000))
