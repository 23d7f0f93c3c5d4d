"""A cached row is never older than five seconds, gone at once when it was announced stale, and read with others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from server.storage.cache import MAX_AGE_SECONDS, FreshCache
from server.storage.database import DatabaseUnavailableError
from tests.support.clock import ManualClock


class Rows:
    """A table: every key has a row, whose value is the number of the statement that read it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.statements: list[list[str]] = []
        self.missing: set[str] = set()
        self.broken: set[str] = set()
        self.away = False
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.cache: FreshCache[str, int] = FreshCache(self.clock, self.load)

    async def load(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.statements.append(list(keys))
        number = len(self.statements)
        self.began.set()
        await self.gate.wait()
        if self.away:
            raise DatabaseUnavailableError("away")
        if self.broken.intersection(keys):
            raise ValueError("a row that nobody can read")
        return {key: number for key in keys if key not in self.missing}


async def test_an_entry_is_kept_for_five_seconds() -> None:
    rows = Rows()
    assert await rows.cache.find("a") == 1
    rows.clock.advance(MAX_AGE_SECONDS)
    assert rows.cache.get("a") == 1
    rows.clock.advance(0.001)
    assert rows.cache.get("a") is None
    assert await rows.cache.find("a") == 2


async def test_an_invalidated_entry_is_read_again() -> None:
    rows = Rows()
    await rows.cache.find("a")
    rows.cache.forget("a")
    assert await rows.cache.find("a") == 2
    rows.cache.forget_all()
    assert rows.cache.get("a") is None
    await rows.cache.find("a")
    rows.cache.forget_where(lambda value: value == 3)
    assert rows.cache.get("a") is None


async def test_many_look_ups_at_once_are_one_statement() -> None:
    rows = Rows()
    found = await asyncio.gather(*(rows.cache.find(key) for key in ("a", "b", "a", "c") for _ in range(10)))
    assert found == [1] * 40
    assert rows.statements == [["a", "b", "c"]]


async def test_what_is_looked_up_while_the_database_is_slow_goes_together() -> None:
    rows = Rows()
    rows.gate.clear()
    finding = [asyncio.ensure_future(rows.cache.find("first"))]
    await rows.began.wait()
    for number in range(250):
        finding.append(asyncio.ensure_future(rows.cache.find(f"key {number}")))
        await asyncio.sleep(0)
    rows.gate.set()
    assert None not in await asyncio.gather(*finding)
    assert len(rows.statements) <= 6
    assert max(map(len, rows.statements)) == 100


async def test_what_an_invalidation_overtook_is_told_but_not_kept() -> None:
    rows = Rows()
    rows.gate.clear()
    overtaken, other = (asyncio.ensure_future(rows.cache.find(key)) for key in "ab")
    await rows.began.wait()
    rows.cache.forget("a")
    later = asyncio.ensure_future(rows.cache.find("a"))
    await asyncio.sleep(0)
    rows.gate.set()
    assert (await overtaken, await other, await later) == (1, 1, 2)
    assert rows.cache.get("a") == 2
    assert rows.cache.get("b") == 1


@pytest.mark.parametrize("by_value", [False, True])
async def test_an_invalidation_of_everything_overtakes_every_statement(by_value: bool) -> None:
    rows = Rows()
    rows.gate.clear()
    running = asyncio.ensure_future(rows.cache.find("a"))
    await rows.began.wait()
    if by_value:
        rows.cache.forget_where(lambda _: False)
    else:
        rows.cache.forget_all()
    rows.gate.set()
    assert await running == 1
    assert rows.cache.get("a") is None


async def test_a_key_without_a_row_is_not_kept() -> None:
    rows = Rows()
    rows.missing = {"a"}
    assert await rows.cache.find("a") is None
    rows.missing = set()
    assert await rows.cache.find("a") == 2


async def test_a_row_that_cannot_be_read_fails_nobody_else() -> None:
    rows = Rows()
    rows.broken = {"b"}
    found = await asyncio.gather(*map(rows.cache.find, "abc"), return_exceptions=True)
    assert [type(value) for value in found] == [int, ValueError, int]
    rows.broken = set()
    assert await rows.cache.find("b") is not None


async def test_a_database_that_is_away_is_told_to_all_at_once_and_not_remembered() -> None:
    rows = Rows()
    rows.away = True
    found = await asyncio.gather(*map(rows.cache.find, "aab"), return_exceptions=True)
    assert [type(value) for value in found] == [DatabaseUnavailableError] * 3
    assert len(rows.statements) == 1
    rows.away = False
    assert await rows.cache.find("a") == 2


async def test_a_caller_that_leaves_does_not_take_the_row_with_it() -> None:
    rows = Rows()
    rows.gate.clear()
    first = asyncio.ensure_future(rows.cache.find("a"))
    second = asyncio.ensure_future(rows.cache.find("a"))
    await rows.began.wait()
    first.cancel()
    rows.gate.set()
    assert await second == 1
    assert rows.statements == [["a"]]


async def test_what_is_used_is_read_again_before_it_is_too_old() -> None:
    rows = Rows()
    await asyncio.gather(*map(rows.cache.find, "abc"))
    assert rows.cache.get("a") == rows.cache.get("b") == 1
    rows.clock.advance(2.9)
    await rows.cache.refresh()
    assert len(rows.statements) == 1
    rows.clock.advance(0.2)
    await rows.cache.refresh()
    assert rows.statements[1:] == [["a", "b"]]
    rows.clock.advance(4)
    assert rows.cache.get("a") == 2
    assert rows.cache.get("c") is None


async def test_what_nobody_used_is_dropped() -> None:
    rows = Rows()
    await rows.cache.find("a")
    rows.clock.advance(MAX_AGE_SECONDS + 0.001)
    await rows.cache.refresh()
    assert len(rows.statements) == 1
    assert not rows.cache._entries


async def test_a_row_that_is_gone_is_dropped_when_it_is_read_again() -> None:
    rows = Rows()
    await rows.cache.find("a")
    assert rows.cache.get("a") == 1
    rows.missing = {"a"}
    rows.clock.advance(3.1)
    await rows.cache.refresh()
    assert rows.cache.get("a") is None


async def test_reading_again_keeps_nothing_that_was_invalidated_meanwhile() -> None:
    rows = Rows()
    await asyncio.gather(*map(rows.cache.find, "ab"))
    assert rows.cache.get("a") == rows.cache.get("b") == 1
    rows.clock.advance(3.1)
    rows.gate.clear()
    rows.began.clear()
    refreshing = asyncio.ensure_future(rows.cache.refresh())
    await rows.began.wait()
    rows.cache.forget("a")
    rows.gate.set()
    await refreshing
    assert rows.cache.get("a") is None
    assert rows.cache.get("b") == 2


async def test_what_cannot_be_read_again_stays_for_its_five_seconds_and_no_longer() -> None:
    rows = Rows()
    await rows.cache.find("a")
    assert rows.cache.get("a") == 1
    rows.away = True
    rows.clock.advance(MAX_AGE_SECONDS)
    with pytest.raises(DatabaseUnavailableError):
        await rows.cache.refresh()
    assert rows.cache.get("a") == 1
    rows.clock.advance(0.001)
    assert rows.cache.get("a") is None
