"""A cached row is never older than five seconds, and gone at once when it was announced stale."""

from __future__ import annotations

import asyncio

import pytest

from server.storage.cache import MAX_AGE_SECONDS, FreshCache
from tests.support.clock import ManualClock


class Loader:
    """Counts loads, and can be held back."""

    def __init__(self) -> None:
        self.loads = 0
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        self.loads += 1
        number = self.loads
        self.began.set()
        await self.gate.wait()
        return number


async def test_an_entry_is_kept_for_five_seconds() -> None:
    clock, loader = ManualClock(), Loader()
    cache: FreshCache[int] = FreshCache(clock)
    assert await cache.get_or_load("a", loader) == 1
    clock.advance(MAX_AGE_SECONDS)
    assert cache.get("a") == 1
    clock.advance(0.001)
    assert cache.get("a") is None
    assert await cache.get_or_load("a", loader) == 2


async def test_an_invalidated_entry_is_loaded_again() -> None:
    loader = Loader()
    cache: FreshCache[int] = FreshCache(ManualClock())
    await cache.get_or_load("a", loader)
    cache.forget("a")
    assert await cache.get_or_load("a", loader) == 2
    cache.forget_all()
    assert cache.get("a") is None


async def test_many_at_once_share_one_load() -> None:
    loader = Loader()
    cache: FreshCache[int] = FreshCache(ManualClock())
    assert await asyncio.gather(*(cache.get_or_load("a", loader) for _ in range(50))) == [1] * 50
    assert loader.loads == 1


async def test_a_load_that_an_invalidation_overtook_is_not_kept() -> None:
    loader = Loader()
    cache: FreshCache[int] = FreshCache(ManualClock())
    loader.gate.clear()
    running = asyncio.ensure_future(cache.get_or_load("a", loader))
    await loader.began.wait()
    cache.forget("a")
    loader.gate.set()
    assert await running == 1
    assert cache.get("a") is None


async def test_a_failed_load_is_told_to_all_and_not_kept() -> None:
    cache: FreshCache[int] = FreshCache(ManualClock())

    async def fail() -> int:
        raise ConnectionError("away")

    results = await asyncio.gather(*(cache.get_or_load("a", fail) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError, ConnectionError]
    with pytest.raises(ConnectionError):
        await cache.get_or_load("a", fail)


async def test_a_caller_that_leaves_does_not_take_the_load_with_it() -> None:
    loader = Loader()
    cache: FreshCache[int] = FreshCache(ManualClock())
    loader.gate.clear()
    first = asyncio.ensure_future(cache.get_or_load("a", loader))
    second = asyncio.ensure_future(cache.get_or_load("a", loader))
    await asyncio.sleep(0)
    first.cancel()
    loader.gate.set()
    assert await second == 1
