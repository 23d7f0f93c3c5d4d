"""Keeps the book of calls under way: each is journaled before it is sent, while it streams and when it ended, and is
then settled, with many others where it was taken from a lease, alone where it has a hold of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from server.billing.holds import Hold, HoldDetail
from server.billing.leases import Leases
from server.foundation.crash_points import passing
from server.models.prices import Price
from server.rpc.errors import UnavailableError
from server.storage.database import DatabaseUnavailableError
from server.usage.flush import EndedCall, Flusher
from server.usage.journal.port import CallJournal, JournalFullError
from server.usage.journal.records import Closed, Opened, Progressed, microseconds
from server.usage.journal.writer import Journal
from server.usage.metering import Meter, MeteredCall, Settlement, charges
from server.usage.settlement_row import bounded, clean, fitting

_RETRY_SECONDS: Final = 5.0
_COMMIT_SECONDS: Final = 1.5
"""How long an end waits for the database before its caller is told; it is sent all the same."""

_log = structlog.get_logger("usage")


class CallBook:
    """The calls of one process."""

    def __init__(self, meter: Meter, flusher: Flusher, journal: CallJournal, leases: Leases) -> None:
        self._meter = meter
        self._flusher = flusher
        self._journal = journal
        self._ends = journal if isinstance(journal, Journal) else None
        """Where ends are safe before they are in the database, if anywhere."""
        self._leases = leases
        self._committing: dict[UUID, asyncio.Future[None]] = {}
        """Calls that the database alone can keep."""

    def check_open(self) -> None:
        """Raises `UnavailableError` where no call should be begun: the database has been away for too long."""
        if self._flusher.overloaded:
            waiting = self._flusher.waiting
            raise UnavailableError(f"{waiting} calls wait for the database", retry_after=_RETRY_SECONDS)

    def open(
        self,
        hold: Hold,
        call_id: UUID,
        detail: HoldDetail,
        *,
        provider: str,
        prompt_tokens: int,
        price: Price | None,
        profile: str,
    ) -> None:
        """Remembers a call before its provider hears of it. Raises `UnavailableError`; then it must not be sent."""
        record = Opened(
            call=call_id.bytes,
            org=hold.org_id.bytes,
            hold=hold.id.bytes if hold.amount else b"",
            leased=hold.lease is not None,
            reserved=hold.amount,
            funding=hold.funding,
            key=detail.key_id.bytes if detail.key_id else b"",
            user=detail.user_id.bytes if detail.user_id else b"",
            model=detail.model_id,
            provider=provider,
            request=detail.request_id,
            streamed=detail.streamed,
            create_time=microseconds(detail.create_time),
            prompt=prompt_tokens,
            price=None if price is None else _price_of(price),
            profile=profile,
        )
        passing("admitted")
        try:
            self._journal.opened(record)
        except JournalFullError as error:
            raise UnavailableError(str(error), retry_after=_RETRY_SECONDS) from error
        passing("journal opened")

    def progress(self, call_id: UUID, output: int, reasoning: int) -> None:
        """So many tokens were handed over. A disk that takes no more is told of when the call is closed."""
        try:
            self._journal.progressed(Progressed(call_id.bytes, output, reasoning))
        except JournalFullError as error:
            _log.warning("progress was not journaled", call=str(call_id), error=str(error))

    async def settle(self, hold: Hold, call: MeteredCall) -> Settlement:
        """What the call is charged: its price, at most what was set aside.

        It is safe when this answers: on the disk, to be flushed within a quarter of a second, or in the database.
        Raises what the database does where neither can be had; then it is to be asked again.
        """
        ended = _ended(hold, call)
        if hold.lease is None and hold.amount:
            return await self._settle_hold(hold, ended)
        if call.id not in self._committing and await self._journaled(ended):
            return self._settle_later(hold, ended)
        return await self._commit(hold, ended)

    def settle_at_once(self, hold: Hold, call: MeteredCall, settled: Callable[[Settlement | None], None]) -> bool:
        """The same without a task, for a call that was taken from a lease or costs nothing: `settled` hears its charge
        as soon as it is safe, or None where the journal does not take it. Then, and where the answer is False,
        `settle` is to be asked."""
        ends = self._ends
        if ends is None or (hold.lease is None and hold.amount):
            return False
        ended = _ended(hold, call)

        def told(error: JournalFullError | None) -> None:
            if error is None:
                self._mark_safe(ends, ended)
                settled(self._settle_later(hold, ended))
            else:
                self._take_back(ends, ended, error)
                settled(None)

        try:
            self._write_end(ends, ended)
            ends.when_synced(told)
        except JournalFullError as error:
            self._take_back(ends, ended, error)
            return False
        return True

    async def flush(self) -> None:
        """Brings what was settled so far into the database, for those who want to read it at once."""
        await self._flusher.catch_up()

    def flushed(self, ended: EndedCall) -> None:
        """The call is in the database."""
        if ended.lease_id is not None:
            self._leases.settled(ended.lease_id, ended.charged)
        self._journal.done(ended.call.id.bytes)

    def is_safe(self, call_id: UUID) -> bool:
        """Whether the call's end can no longer be lost, though it may not be settled yet."""
        return self._journal.is_safe(call_id.bytes)

    async def _commit(self, hold: Hold, ended: EndedCall) -> Settlement:
        """Brings the call into the database with all that end at the time. Asked again, it goes on waiting."""
        commit = self._committing.get(ended.call.id)
        if commit is None:
            _charge(hold, ended)
            commit = self._committing[ended.call.id] = self._flusher.commit(ended)
        await asyncio.wait({commit}, timeout=_COMMIT_SECONDS)
        if not commit.done():
            raise DatabaseUnavailableError("the end of a call is not in the database yet")
        commit.result()
        del self._committing[ended.call.id]
        return Settlement(ended.charged, ended.excess, 0 if hold.lease is None else hold.lease.available, None)

    async def _settle_hold(self, hold: Hold, ended: EndedCall) -> Settlement:
        await self._journaled(ended)
        settlement = await self._meter.settle(hold, ended.call)
        passing("hold settled")
        self._journal.done(ended.call.id.bytes)
        return settlement

    async def _journaled(self, ended: EndedCall) -> bool:
        ends = self._ends
        if ends is None:
            return False
        try:
            self._write_end(ends, ended)
            await ends.synced()
        except JournalFullError as error:
            self._take_back(ends, ended, error)
            return False
        self._mark_safe(ends, ended)
        return True

    @staticmethod
    def _write_end(ends: Journal, ended: EndedCall) -> None:
        ends.closed(_closed(ended))
        passing("journal closed")

    @staticmethod
    def _mark_safe(ends: Journal, ended: EndedCall) -> None:
        passing("journal synced")
        ends.mark_safe(ended.call.id.bytes)

    @staticmethod
    def _take_back(ends: Journal, ended: EndedCall, error: JournalFullError) -> None:
        _log.warning("an end was not journaled", call=str(ended.call.id), error=str(error))
        ends.reopen(ended.call.id.bytes)

    def _settle_later(self, hold: Hold, ended: EndedCall) -> Settlement:
        """What is safe comes into the database with others."""
        settlement = _charge(hold, ended)
        self._flusher.add(ended)
        return settlement


def _ended(hold: Hold, call: MeteredCall) -> EndedCall:
    charged, excess = charges(call, hold.amount)
    return EndedCall(call, None if hold.lease is None else hold.id, hold.funding, charged, excess)


def _charge(hold: Hold, ended: EndedCall) -> Settlement:
    """What was set aside and not used is free again."""
    available = 0
    if hold.lease is not None:
        hold.lease.settle(hold.amount, ended.charged)
        available = hold.lease.available
    return Settlement(ended.charged, ended.excess, available, None)


def _price_of(price: Price) -> tuple[int, int, int, int, int, int, int | None]:
    return (
        price.version,
        price.input,
        price.cache_read,
        price.cache_write,
        price.output,
        price.reasoning,
        price.markup_version,
    )


def _closed(ended: EndedCall) -> Closed:
    call, tokens = ended.call, bounded(ended.call.tokens)
    return Closed(
        call=call.id.bytes,
        provider_call=clean(call.provider_call_id),
        attempt=call.attempt,
        duration_ms=call.duration_ms,
        first_token_ms=call.first_token_ms,
        ending=call.ending,
        estimated=call.estimated,
        http_status=call.http_status,
        tokens=(tokens.input, tokens.cache_read, tokens.cache_write, tokens.output, tokens.reasoning),
        charged=ended.charged,
        excess=ended.excess,
        raw_usage=fitting(call.raw_usage),
    )
