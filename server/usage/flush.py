"""Brings calls that ended into the database: many of many organizations in one transaction, four times a second.

Until a call is there, the journal has it. A batch whose answer was lost is sent again as it was: events that are there
already are left out, with everything that follows from them.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence, Set
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from server.billing import transfer_ids
from server.billing.hold_store import LOST_RACES
from server.foundation.clock import Clock
from server.foundation.crash_points import passing
from server.foundation.ids import NewId
from server.storage.database import Database, DatabaseUnavailableError, Role, UnstorableTextError
from server.usage import flush_metrics as metrics
from server.usage import flush_store
from server.usage.metering import MeteredCall
from server.usage.settlement_row import MAX_INT, bounded, clean, storable

FLUSH_SECONDS: Final = 0.2
"""How long a call waits for company, at most."""

MOST_CALLS: Final = 2000
"""Calls in one transaction."""

MOST_WAITING: Final = 50_000
"""Calls that may wait for the database before new ones are refused."""

LONGEST_STALL_SECONDS: Final = 30.0
"""How long the database may be away before new calls are refused."""

_PATIENCE_SECONDS: Final = 1.0
_FIRST_WAIT_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 5.0
_FAILURES: Final = (DatabaseUnavailableError, *LOST_RACES)
_REFUSED: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    UnstorableTextError,
)
"""What PostgreSQL says of a call that it cannot take as it is, first of all of a provider's usage that jsonb cannot
hold: an escaped NUL, a lone surrogate, 1e999999."""

_log = structlog.get_logger("usage")


class EndedCall(msgspec.Struct, frozen=True):
    """A call that is charged to a lease, or costs nothing."""

    call: MeteredCall
    lease_id: UUID | None
    funding: str
    charged: int
    """Nano-dollars, at most what was taken from the lease."""
    excess: int
    """Nano-dollars that the provider reported beyond."""


class RefusedCallsError(Exception):
    """The database takes these calls neither with others nor alone; the others are in."""

    def __init__(self, calls: Sequence[EndedCall]) -> None:
        super().__init__(f"the database refuses {len(calls)} calls, the first {calls[0].call.id}")
        self.calls = calls


class Flusher:
    """The calls of one process that are not in the database yet."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        new_id: NewId,
        flushed: Callable[[EndedCall], None],
        *,
        role: Role = Role.METER,
        longest_stall: float = LONGEST_STALL_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`flushed` is told of every call that has come into the database; `longest_stall` is how many seconds that may
        be away before new calls are refused."""
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._flushed = flushed
        self._role = role
        self._longest_stall = longest_stall
        self._sleep = sleep
        self._waiting: list[EndedCall] = []
        self._sending = 0
        self._stalled_since: float | None = None
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._refused: list[EndedCall] = []
        """Calls that the database does not take. They stay in the journal, for whoever can mend it."""
        self._added = 0
        self._ended = 0
        """Of the calls added, in their order, those that wait no more."""
        self._readers: dict[asyncio.Future[None], int] = {}
        """Who waits, and how many calls must have ended for each."""
        self._commits: dict[UUID, asyncio.Future[None]] = {}
        """Calls whose answers wait for the database."""

    def add(self, ended: EndedCall) -> None:
        """Takes a call that the journal has. It is in the database within a quarter of a second."""
        self._waiting.append(ended)
        self._added += 1
        self._wake.set()

    def commit(self, ended: EndedCall) -> asyncio.Future[None]:
        """Takes a call that no journal has: it goes into the database at once, with all that come while the flush
        before it is under way. Done when it is there; fails with `RefusedCallsError` where it is not taken."""
        commit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._commits[ended.call.id] = commit
        self.add(ended)
        self._hurry.set()
        return commit

    @property
    def waiting(self) -> int:
        """Calls that are not in the database yet."""
        return len(self._waiting) + self._sending + len(self._refused)

    @property
    def overloaded(self) -> bool:
        """Whether no more calls should be begun: the database has been away for too long, or falls behind."""
        stalled = self._stalled_since
        return self.waiting >= MOST_WAITING or (
            stalled is not None and self._clock.monotonic() - stalled > self._longest_stall
        )

    async def run(self) -> None:
        """Flushes until it is cancelled."""
        while True:
            await self._wake.wait()
            await self._rest()
            self._wake.clear()
            self._hurry.clear()
            # What comes meanwhile waits for company again.
            for _ in range(0, len(self._waiting), MOST_CALLS):
                await self._flush_next()

    async def catch_up(self) -> None:
        """Waits until the calls that were added so far are in the database; a second at most, where that is away."""
        if self._ended == self._added:
            return
        reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._readers[reader] = self._added
        self._hurry.set()
        try:
            await asyncio.wait({reader}, timeout=_PATIENCE_SECONDS)
        finally:
            del self._readers[reader]

    async def finish(self, seconds: float) -> int:
        """Flushes what is left, as far as the database takes it within `seconds`; how many calls remain journaled."""
        try:
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self._flush_next()
        except TimeoutError:
            _log.warning("calls stay in the journal", calls=self.waiting)
        return self.waiting

    async def send(self, batch: Sequence[EndedCall]) -> None:
        """Brings these calls into the database now.

        Raises `DatabaseUnavailableError` and asyncpg's lost races, and `RefusedCallsError` once all others are in.
        """
        try:
            await self._send(batch)
        except _REFUSED:
            refused = [ended for ended in batch if not await self._send_alone(ended)]
            if refused:
                raise RefusedCallsError(refused) from None

    async def _rest(self) -> None:
        """Waits for company."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _flush_next(self) -> None:
        batch, self._waiting = self._waiting[:MOST_CALLS], self._waiting[MOST_CALLS:]
        self._sending = len(batch)
        try:
            await self._send_until_done(batch)
        except BaseException:
            self._waiting[:0] = batch
            raise
        finally:
            self._sending = 0
        refused = {ended.call.id for ended in self._refused}
        for ended in batch:
            if ended.call.id not in refused:
                self._flushed(ended)
        self._tell_committed(batch, refused)
        passing("flush acknowledged")
        self._ended += len(batch)
        self._tell_readers()

    def _tell_committed(self, batch: Sequence[EndedCall], refused: Set[UUID]) -> None:
        if not self._commits:
            return
        for ended in batch:
            commit = self._commits.pop(ended.call.id, None)
            if commit is None or commit.done():
                continue
            if ended.call.id in refused:
                commit.set_exception(RefusedCallsError([ended]))
            else:
                commit.set_result(None)

    def _tell_readers(self) -> None:
        for reader, number in self._readers.items():
            if number <= self._ended and not reader.done():
                reader.set_result(None)

    async def _send_until_done(self, batch: Sequence[EndedCall]) -> None:
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                await self.send(batch)
            except RefusedCallsError as error:
                self._refused += error.calls
                self._stalled_since = None
                return
            except _FAILURES as error:
                _log.warning("a flush failed, trying again", calls=len(batch), wait=wait, error=repr(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the calls must not be forgotten for it
                _log.error("a flush broke", calls=len(batch), wait=wait, traceback=_traceback(error))
            else:
                self._stalled_since = None
                return
            metrics.count_failure()
            if self._stalled_since is None:
                self._stalled_since = self._clock.monotonic()
            await self._sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    async def _send_alone(self, ended: EndedCall) -> bool:
        """Whether the database takes the call, without the provider's own words if need be."""
        try:
            await self._send([ended])
        except _REFUSED:
            return await self._send_bare(ended)
        return True

    async def _send_bare(self, ended: EndedCall) -> bool:
        try:
            await self._send([ended], raw_usage=False)
        except _REFUSED as error:
            _log.error("the database refuses a call", call=str(ended.call.id), traceback=_traceback(error))
            return False
        return True

    async def _send(self, batch: Sequence[EndedCall], *, raw_usage: bool = True) -> None:
        step = self._new_id()
        orgs = {ended.lease_id: ended.call.org_id for ended in batch if ended.lease_id is not None}
        draws = [
            (lease, transfer_ids.draw_id(org, lease, step), transfer_ids.draw_excess_id(org, lease, step))
            for lease, org in orgs.items()
        ]
        rows = [_row(ended, raw_usage=raw_usage) for ended in batch]
        passing("flush begun")
        async with self._database.statement(self._role) as transaction:
            result = await flush_store.flush(transaction, draws, rows)
        passing("flush committed")
        metrics.count_flush(result["events"])
        if result["bad_debt"]:
            metrics.count_bad_debt(result["bad_debt"])
            _log.error("calls of a lease that is no more; the platform bears them", nano=result["bad_debt"])


def _row(ended: EndedCall, *, raw_usage: bool) -> tuple[object, ...]:
    """One call in the order of flush_calls' arguments."""
    call, tokens, price = ended.call, bounded(ended.call.tokens), ended.call.price
    return (
        call.id,
        call.org_id,
        ended.lease_id,
        ended.charged,
        ended.excess,
        ended.funding,
        call.key_id,
        call.user_id,
        call.model_id,
        call.provider,
        clean(call.provider_call_id),
        call.request_id,
        call.attempt,
        call.create_time,
        min(call.duration_ms, MAX_INT),
        min(call.first_token_ms, MAX_INT),
        call.streamed,
        call.ending,
        call.estimated,
        call.http_status,
        tokens.input,
        tokens.cache_read,
        tokens.cache_write,
        tokens.output,
        tokens.reasoning,
        None if price is None else price.version,
        None if price is None else price.markup_version,
        call.profile,
        storable(call.raw_usage) if raw_usage else None,
    )


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
