"""Holds that nobody will settle: their process is dead, or lost track of them.

Silence alone proves nothing: only the lock of a dead process can be taken.
"""

from __future__ import annotations

import traceback
from collections.abc import MutableMapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import asyncpg
import structlog

from server.billing import hold_store, lease_store, process_store
from server.billing.holds import HoldDetail
from server.billing.processes import HOST, IN_DATABASE, LOCK_SUFFIX, ProcessRow, process_of, prove_dead
from server.foundation.crash_points import passing
from server.storage.database import Database, DatabaseUnavailableError, Role, Transaction

GRACE: Final = timedelta(seconds=60)
"""How long a hold of our own has been seen expired before anything is done."""

_YOUNG: Final = timedelta(seconds=15)
"""A lock so old that no row tells of belongs to a process that never got one, or has none any more."""

_BATCH: Final = 500

_log = structlog.get_logger("billing")


@dataclass(frozen=True, slots=True)
class AbandonedHold:
    """A hold that nobody settled."""

    id: UUID
    org_id: UUID
    call_id: UUID
    provider: str
    detail: HoldDetail


class AbandonedCalls(Protocol):
    """Settles what a dead process left behind; `usage` does, which billing knows nothing of."""

    async def replay(self, row: ProcessRow, now: datetime) -> bool:
        """Settles what the process's journal says; False where there is none, or it cannot be found."""
        ...

    def forget(self, row: ProcessRow) -> None:
        """Removes the journal of a process that has nothing open any more, if it has one."""
        ...

    async def close(self, transaction: Transaction, hold: AbandonedHold, now: datetime) -> None:
        """Runs one statement as the keeper. A hold that is closed already stays as it is."""
        ...


class Reaper:
    """Closes abandoned holds. Each process may run its own: two at work do no more than one."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        process_id: UUID,
        closer: AbandonedCalls,
        lost: MutableMapping[UUID, datetime | None],
    ) -> None:
        """`folder` is DATA/processes, `process_id` this process's own, `lost` the holds whose answer never came."""
        self._database = database
        self._folder = folder
        self._process_id = process_id
        self._closer = closer
        self._lost = lost
        self._expired_since: dict[UUID, datetime] = {}

    async def reap(self, now: datetime) -> int:
        """Settles what dead processes left behind at once, and voids our own holds that outlived their call.

        Other living processes' holds and leases are never touched. Answers how many holds were voided. Raises
        `DatabaseUnavailableError`; what was closed until then stays closed.
        """
        closed = await self._close_own(now) + await self._close_lost(now)
        async with self._database.privileged(Role.KEEPER) as transaction:
            rows = await process_store.list_others(transaction, self._process_id)
        for row in rows:
            closed += await self._bury_or_log(ProcessRow(**dict(row)), now)
        await self._bury_unknown({self._process_id, *(row["id"] for row in rows)}, now)
        return closed

    async def _close_lost(self, now: datetime) -> int:
        """Voids holds that were opened although their answer was lost. Each is looked for during a minute: its
        statement may commit late."""
        if not self._lost:
            return 0
        async with self._database.privileged(Role.KEEPER) as transaction:
            rows = await hold_store.list_by_id(transaction, list(self._lost))
        await self._close(rows, now)
        for hold_id, since in list(self._lost.items()):
            if since is None:
                self._lost[hold_id] = now
            elif now - since > GRACE:
                del self._lost[hold_id]
        return len(rows)

    async def _bury_or_log(self, row: ProcessRow, now: datetime) -> int:
        try:
            return await self._bury(row, now)
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - one that cannot be buried must not keep the others' money
            _log.error("a dead process was not buried", process=str(row.id), traceback=_traceback(error))
            return 0

    async def _bury(self, row: ProcessRow, now: datetime) -> int:
        dead = prove_dead(self._folder, row)
        if dead is None:
            return 0
        with dead:
            keeps_one = row.journal_path or row.journal == IN_DATABASE
            if keeps_one and not await self._closer.replay(row, now):
                # Its calls are known on another volume only: until that is mounted, nothing of it is given back.
                _log.warning("the journal of a dead process is not here", process=str(row.id), host=row.host)
                return 0
            passing("dead replayed")
            closed = await self._close_all(row.id, now)
            await self._close_leases(row)
            async with self._database.privileged(Role.KEEPER) as transaction:
                gone = await process_store.delete_if_done(transaction, row.id)
            passing("dead buried")
            if gone:
                self._closer.forget(row)
                dead.remove()
        return closed

    async def _bury_unknown(self, known: Set[UUID], now: datetime) -> None:
        """Removes the lock and the journal of processes that no row knows: killed before they had one, or buried by
        somebody who was killed over it. Young ones may be about to have a row."""
        for path in self._folder.glob(f"*{LOCK_SUFFIX}"):
            process_id = process_of(path)
            if process_id is None or process_id in known or now - _changed(path, now) < _YOUNG:
                continue
            row = ProcessRow(process_id, HOST, str(path), "", now)
            dead = prove_dead(self._folder, row)
            if dead is None:
                continue
            with dead:
                async with self._database.privileged(Role.KEEPER) as transaction:
                    if await process_store.exists(transaction, process_id):
                        continue
                await self._closer.replay(row, now)
                self._closer.forget(row)
                dead.remove()

    async def _close_leases(self, process: ProcessRow) -> None:
        """Gives back what is left of them: what they owed was drawn by the replay. One that lapsed may be back."""
        close = lease_store.lapse if process.has_lapsed else lease_store.close
        async with self._database.privileged(Role.KEEPER) as transaction:
            rows = await lease_store.list_of_process(transaction, process.id)
        for row in rows:
            async with self._database.statement(Role.KEEPER) as statement:
                await close(statement, row["org_id"], row["id"])

    async def _close_own(self, now: datetime) -> int:
        """Closes what has been seen expired for 60 s: after an outage, settlements that wait for it come first."""
        rows = await self._list(self._process_id, now)
        self._expired_since = {row["id"]: self._expired_since.get(row["id"], now) for row in rows}
        lost = [row for row in rows if now - self._expired_since[row["id"]] >= GRACE]
        await self._close(lost, now)
        return len(lost)

    async def _close_all(self, process_id: UUID, now: datetime) -> int:
        closed = 0
        while rows := await self._list(process_id, None):
            await self._close(rows, now)
            closed += len(rows)
        return closed

    async def _list(self, process_id: UUID, expired_before: datetime | None) -> Sequence[asyncpg.Record]:
        async with self._database.privileged(Role.KEEPER) as transaction:
            return await hold_store.list_of_process(transaction, process_id, expired_before, _BATCH)

    async def _close(self, rows: Sequence[asyncpg.Record], now: datetime) -> None:
        for row in rows:
            async with self._database.statement(Role.KEEPER) as statement:
                await self._closer.close(statement, _abandoned(row), now)


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _changed(path: Path, now: datetime) -> datetime:
    """When the file was made; `now` where it is gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return now


def _abandoned(row: asyncpg.Record) -> AbandonedHold:
    detail = HoldDetail(
        row["model_id"], row["key_id"], row["user_id"], row["request_id"], row["streamed"], row["create_time"]
    )
    return AbandonedHold(row["id"], row["org_id"], row["call_id"], row["provider"], detail)
