"""Settling goes on while the database is away, and the answer does not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
import structlog
from prometheus_client import REGISTRY

from server.billing.holds import Hold
from server.chat.settlements import Settlements
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import UnavailableError
from server.storage.database import DatabaseUnavailableError
from server.usage.metering import MeteredCall, Settlement

_ORG = UUID(int=1)
_HOLD = Hold(uuid7(), _ORG, UUID(int=2), "wallet", 100, 0)


class _Away:
    """A meter whose database is away for some tries."""

    def __init__(self, tries: int, error: Exception | None = None, excess: int = 0) -> None:
        self.tries = tries
        self.error = error or DatabaseUnavailableError("away")
        self.excess = excess
        self.settled: list[UUID] = []

    def settle_at_once(self, hold: Hold, call: MeteredCall, settled: Callable[[Settlement | None], None]) -> bool:
        return False

    async def settle(self, hold: Hold, call: MeteredCall) -> Settlement:
        self.tries -= 1
        if self.tries >= 0:
            raise self.error
        self.settled.append(hold.id)
        return Settlement(cost=5, excess=self.excess, available=95, transfer_id=None)


async def _bill() -> MeteredCall:
    fields: dict[str, object] = dict.fromkeys(MeteredCall.__struct_fields__, "")
    known = {"id": uuid7(), "org_id": _ORG, "ending": "complete", "tokens": TokenCounts(input=5)}
    return MeteredCall(**{**fields, **known, "create_time": datetime.now(UTC)})  # type: ignore[arg-type]


async def test_it_is_tried_until_it_succeeds() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    meter = _Away(9)
    settlements = Settlements(meter, sleep)
    settlement = await settlements.wait(settlements.begin_counting(_HOLD, _bill))
    assert settlement is not None
    assert settlement.cost == 5
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert meter.settled == [_HOLD.id]
    assert await settlements.drain(1.0) == 0


@pytest.mark.parametrize("error", [asyncpg.PostgresError("odd"), ConnectionResetError(), KeyError("cost")])
async def test_no_failure_loses_a_settlement(error: Exception) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    meter = _Away(2, error)
    settlements = Settlements(meter, sleep)
    with structlog.testing.capture_logs() as logs:
        assert await settlements.wait(settlements.begin_counting(_HOLD, _bill)) is not None
    assert waits == [0.5, 1.0]
    assert meter.settled == [_HOLD.id]
    assert [(line["log_level"], line["error"]) for line in logs] == [("warning", repr(error))] * 2
    assert ["Traceback" in line.get("traceback", "") for line in logs] == [isinstance(error, KeyError)] * 2


async def test_excess_is_logged_and_counted() -> None:
    calls, nano = "tollbridge_chat_excesses_total", "tollbridge_chat_excess_nanodollars_total"
    before = [REGISTRY.get_sample_value(name) or 0 for name in (calls, nano)]
    settlements = Settlements(_Away(0, excess=70))
    with structlog.testing.capture_logs() as logs:
        await settlements.wait(settlements.begin_counting(_HOLD, _bill))
    assert [REGISTRY.get_sample_value(name) for name in (calls, nano)] == [before[0] + 1, before[1] + 70]
    (line,) = logs
    assert (line["log_level"], line["excess_nano"], line["org"]) == ("warning", 70, str(_ORG))


async def test_draining_says_what_is_left() -> None:
    back = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await back.wait()

    meter = _Away(1)
    settlements = Settlements(meter, sleep)
    settling = settlements.begin_counting(_HOLD, _bill)
    assert await settlements.drain(0.05) == 1
    back.set()
    assert await settlements.drain(1.0) == 0
    assert settling.done()
    assert meter.settled == [_HOLD.id]


async def test_a_hold_that_opens_after_its_caller_left_is_given_back() -> None:
    meter = _Away(0)
    settlements = Settlements(meter)
    opened, refused = asyncio.Event(), asyncio.Event()

    async def open_hold() -> Hold:
        await opened.wait()
        return _HOLD

    async def be_refused() -> Hold:
        await refused.wait()
        raise UnavailableError("away")

    settlements.begin_when_opened(asyncio.ensure_future(open_hold()), _bill)
    settlements.begin_when_opened(asyncio.ensure_future(be_refused()), _bill)
    opened.set()
    refused.set()
    assert await settlements.drain(1.0) == 0
    assert meter.settled == [_HOLD.id]


class _Journaled(_Away):
    """Begins every settlement at once, and tells of it when the test says so."""

    def __init__(self) -> None:
        super().__init__(0)
        self.told: list[Callable[[Settlement | None], None]] = []

    def settle_at_once(self, hold: Hold, call: MeteredCall, settled: Callable[[Settlement | None], None]) -> bool:
        self.told.append(settled)
        return True


async def test_what_is_settled_at_once_needs_nobody_who_waits() -> None:
    meter = _Journaled()
    settlements = Settlements(meter)
    settling = settlements.begin(_HOLD, await _bill())
    waiting = asyncio.ensure_future(settlements.wait(settling))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await settlements.drain(0.01) == 1
    settlement = Settlement(cost=5, excess=0, available=95, transfer_id=None)
    meter.told[0](settlement)
    assert await settlements.wait(settling) == settlement
    assert await settlements.drain(1.0) == 0
    assert meter.settled == [], "once"


async def test_what_the_journal_does_not_take_is_settled_all_the_same() -> None:
    meter = _Journaled()
    settlements = Settlements(meter)
    settling = settlements.begin(_HOLD, await _bill())
    meter.told[0](None)
    assert (await settlements.wait(settling)) == Settlement(cost=5, excess=0, available=95, transfer_id=None)
    assert meter.settled == [_HOLD.id]
