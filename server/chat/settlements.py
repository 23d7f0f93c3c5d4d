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

    async def settle(self, hold: Hold, call: MeteredCall) -> Settlement:
        """Charges the call. Asked again where it failed."""
        ...


class Settlements:
    """The settlements under way in one process."""

    def __init__(self, settler: Settler, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._settler = settler
        self._sleep = sleep
        self._tasks: set[asyncio.Task[Any]] = set()
        self._log = structlog.get_logger("chat")

    def begin(self, hold: Hold, bill: Callable[[], Awaitable[MeteredCall]]) -> asyncio.Task[Settlement]:
        """Works out the bill and settles it, whatever becomes of the caller."""
        task = asyncio.ensure_future(self._settle(hold, bill))
        self._track(task)
        return task

    def begin_when_opened(self, opening: asyncio.Task[Hold], bill: Callable[[], Awaitable[MeteredCall]]) -> None:
        """The same for a hold that is still being opened. Where it is refused there is nothing to settle."""

        async def settle() -> Settlement | None:
            try:
                hold = await opening
            except ApiError:
                return None
            return await self._settle(hold, bill)

        self._track(asyncio.ensure_future(settle()))

    async def wait(self, task: asyncio.Task[Settlement]) -> Settlement | None:
        """The settlement, or None where it takes longer than two seconds or failed for good."""
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def drain(self, seconds: float) -> int:
        """Waits for what is under way, and says how many are still not settled."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        return len(self._tasks)

    def _track(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._untrack)

    def _untrack(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("a call was not settled", error=repr(error))

    async def _settle(self, hold: Hold, bill: Callable[[], Awaitable[MeteredCall]]) -> Settlement:
        call = await bill()
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
            metrics.count_call(call.ending, call.tokens)
            if settlement.excess:
                self._report_excess(call, settlement)
            return settlement

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


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
