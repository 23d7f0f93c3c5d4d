"""Settling in tasks of their own, which a leaving client does not cancel.

An answer waits a moment for its settlement, so that its outcome can say what it cost. Where the database is away it
goes out without: the settlement is tried again for as long as the process lives, and if that ends first, the hold is
closed as `interrupted` by whoever finds the process dead.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import asyncpg
import structlog

from server.billing.holds import Hold
from server.chat import metrics
from server.rpc.errors import ApiError
from server.storage.database import DatabaseUnavailableError
from server.usage.metering import MeteredCall, Settlement

PATIENCE_SECONDS: Final = 2.0
"""How long an answer waits for its settlement."""

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 30.0
_FAILURES: Final = (DatabaseUnavailableError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Settler(Protocol):
    """What settles a call: `usage.call_book`."""

    def settle_at_once(self, hold: Hold, call: MeteredCall, settled: Callable[[Settlement | None], None]) -> bool:
        """Whether the charging has begun; `settled` hears the end of it, None where `settle` is to be asked."""
        ...

    async def settle(self, hold: Hold, call: MeteredCall) -> Settlement:
        """Charges the call. Asked again where it failed."""
        ...


class Settlements:
    """The settlements under way in one process."""

    def __init__(self, settler: Settler, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._settler = settler
        self._sleep = sleep
        self._open: set[asyncio.Future[Any]] = set()
        self._slow: set[asyncio.Task[Settlement]] = set()
        self._log = structlog.get_logger("chat")

    def begin(self, hold: Hold, call: MeteredCall) -> asyncio.Future[Settlement]:
        """Settles a call whose bill is known, whatever becomes of the caller; without a task where that is possible."""
        settling: asyncio.Future[Settlement] = asyncio.get_running_loop().create_future()

        def settled(settlement: Settlement | None) -> None:
            if settlement is None:
                self._settle_slowly(hold, call, settling)
                return
            self._count(call, settlement)
            settling.set_result(settlement)

        self._track(settling)
        if not self._settler.settle_at_once(hold, call, settled):
            self._settle_slowly(hold, call, settling)
        return settling

    def begin_counting(self, hold: Hold, bill: Callable[[], Awaitable[MeteredCall]]) -> asyncio.Future[Settlement]:
        """Works out the bill and settles it, whatever becomes of the caller."""
        task = asyncio.ensure_future(self._settle_counted(hold, bill))
        self._track(task)
        return task

    def begin_when_opened(self, opening: asyncio.Task[Hold], bill: Callable[[], Awaitable[MeteredCall]]) -> None:
        """The same for a hold that is still being opened. Where it is refused there is nothing to settle."""

        async def settle() -> Settlement | None:
            try:
                hold = await opening
            except ApiError:
                return None
            return await self._settle_counted(hold, bill)

        self._track(asyncio.ensure_future(settle()))

    async def wait(self, settling: asyncio.Future[Settlement]) -> Settlement | None:
        """The settlement, or None where it takes longer than two seconds or failed for good."""
        if not settling.done():
            await _come(settling)
        if not settling.done() or settling.cancelled() or settling.exception() is not None:
            return None
        return settling.result()

    async def drain(self, seconds: float) -> int:
        """Waits for what is under way, and says how many are still not settled."""
        if self._open:
            await asyncio.wait(self._open, timeout=seconds)
        return len(self._open)

    def _track(self, settling: asyncio.Future[Any]) -> None:
        self._open.add(settling)
        settling.add_done_callback(self._untrack)

    def _untrack(self, settling: asyncio.Future[Any]) -> None:
        self._open.discard(settling)
        if not settling.cancelled() and (error := settling.exception()) is not None:
            self._log.error("a call was not settled", error=repr(error))

    def _settle_slowly(self, hold: Hold, call: MeteredCall, settling: asyncio.Future[Settlement]) -> None:
        def tell(done: asyncio.Task[Settlement]) -> None:
            if done.cancelled():
                settling.cancel()
            elif (error := done.exception()) is not None:
                settling.set_exception(error)
            else:
                settling.set_result(done.result())

        task = asyncio.ensure_future(self._settle(hold, call))
        self._slow.add(task)
        task.add_done_callback(tell)
        task.add_done_callback(self._slow.discard)

    async def _settle_counted(self, hold: Hold, bill: Callable[[], Awaitable[MeteredCall]]) -> Settlement:
        return await self._settle(hold, await bill())

    async def _settle(self, hold: Hold, call: MeteredCall) -> Settlement:
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                settlement = await self._settler.settle(hold, call)
            except Exception as error:  # noqa: BLE001 - whatever it is, a hold must not stay open for it
                metrics.count_settle_failure()
                facts = {} if isinstance(error, _FAILURES) else {"traceback": _traceback(error)}
                self._log.warning(
                    "settling failed, trying again", call=str(call.id), error=repr(error), wait=wait, **facts
                )
                await self._sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
                continue
            self._count(call, settlement)
            return settlement

    def _count(self, call: MeteredCall, settlement: Settlement) -> None:
        metrics.count_call(call.ending, call.tokens)
        if settlement.excess:
            self._report_excess(call, settlement)

    def _report_excess(self, call: MeteredCall, settlement: Settlement) -> None:
        metrics.count_excess(settlement.excess)
        self._log.warning(
            "a provider reported more than was held; the platform bears the rest",
            call=str(call.id),
            org=str(call.org_id),
            provider=call.provider,
            model=call.model_id,
            excess_nano=settlement.excess,
        )


async def _come(settling: asyncio.Future[Settlement]) -> None:
    """Waits for the settlement, two seconds at most. Whoever stops waiting does not stop it."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    late = loop.call_later(PATIENCE_SECONDS, wake)
    settling.add_done_callback(wake)
    try:
        await waiter
    finally:
        late.cancel()


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
