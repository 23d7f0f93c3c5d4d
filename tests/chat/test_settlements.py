"""Settling goes on while the database is away, and the answer does not wait for it."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime
from uuid import UUID

from server.billing.holds import Hold
from server.chat.settlements import Settlements
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc.errors import UnavailableError
from server.storage.database import DatabaseUnavailableError
from server.usage.metering import Meter, MeteredCall, Settlement

_ORG = UUID(int=1)
_HOLD = Hold(uuid7(), _ORG, UUID(int=2), "wallet", 100, 0)


class _Away(Meter):
    """A meter whose database is away for some tries."""

    def __init__(self, tries: int) -> None:
        self.tries = tries
        self.settled: list[UUID] = []

    async def settle(self, hold: Hold, call: MeteredCall) -> Settlement:
        self.tries -= 1
        if self.tries >= 0:
            raise DatabaseUnavailableError("away")
        self.settled.append(hold.id)
        return Settlement(cost=5, excess=0, available=95, transfer_id=None)


async def _bill() -> MeteredCall:
    fields: dict[str, object] = {field.name: "" for field in dataclasses.fields(MeteredCall)}
    known = {"id": uuid7(), "org_id": _ORG, "ending": "complete", "tokens": TokenCounts(input=5)}
    return MeteredCall(**{**fields, **known, "create_time": datetime.now(UTC)})  # type: ignore[arg-type]


async def test_it_is_tried_until_it_succeeds() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    meter = _Away(9)
    settlements = Settlements(meter, sleep)
    settlement = await settlements.wait(settlements.begin(_HOLD, _bill))
    assert settlement is not None
    assert settlement.cost == 5
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert meter.settled == [_HOLD.id]
    assert await settlements.drain(1.0) == 0


async def test_draining_says_what_is_left() -> None:
    back = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await back.wait()

    meter = _Away(1)
    settlements = Settlements(meter, sleep)
    settling = settlements.begin(_HOLD, _bill)
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
