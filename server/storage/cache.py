"""Cached rows that are never older than five seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from server.foundation.clock import Clock

MAX_AGE_SECONDS: Final = 5.0

_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Entry(Generic[_Value]):
    value: _Value
    load_time: float


class FreshCache(Generic[_Value]):
    """Rows by text key. An entry is at most five seconds old, and goes at once when it is invalidated.

    A load that was under way when an invalidation came is handed to whoever waited for it, but not kept: it may have
    read the row of before.
    """

    def __init__(self, clock: Clock, max_entries: int = 100_000) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._entries: dict[str, _Entry[_Value]] = {}
        self._loads: dict[str, asyncio.Task[_Value]] = {}
        self._generation = 0

    def get(self, key: str) -> _Value | None:
        """The entry, or None where there is none or it is too old."""
        entry = self._entries.get(key)
        if entry is None or self._clock.monotonic() - entry.load_time > MAX_AGE_SECONDS:
            return None
        return entry.value

    async def get_or_load(self, key: str, load: Callable[[], Awaitable[_Value]]) -> _Value:
        """The entry, loaded where needed; callers that come during a load share it. Raises what `load` raises."""
        entry = self.get(key)
        if entry is not None:
            return entry
        running = self._loads.get(key)
        if running is None:
            running = asyncio.ensure_future(self._load(key, load))
            self._loads[key] = running
            running.add_done_callback(lambda task: self._forget_load(key, task))
        return await asyncio.shield(running)

    def forget(self, key: str) -> None:
        """Drops one entry."""
        self._generation += 1
        self._entries.pop(key, None)
        self._loads.pop(key, None)

    def forget_where(self, concerned: Callable[[_Value], bool]) -> None:
        """Drops entries by their value, and every load under way: what it will read is not known. Looks at all."""
        self._generation += 1
        self._entries = {key: entry for key, entry in self._entries.items() if not concerned(entry.value)}
        self._loads.clear()

    def forget_all(self) -> None:
        """Drops every entry."""
        self._generation += 1
        self._entries.clear()
        self._loads.clear()

    async def _load(self, key: str, load: Callable[[], Awaitable[_Value]]) -> _Value:
        generation, load_time = self._generation, self._clock.monotonic()
        value = await load()
        if generation == self._generation:
            if len(self._entries) >= self._max_entries:
                self._entries.clear()
            self._entries[key] = _Entry(value, load_time)
        return value

    def _forget_load(self, key: str, task: asyncio.Task[_Value]) -> None:
        if self._loads.get(key) is task:
            del self._loads[key]
        if not task.cancelled():
            task.exception()
