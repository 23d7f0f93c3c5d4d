"""Cached rows that are never older than five seconds, read many at a time.

Look-ups that come together share one statement, and rows that are in use are read again before their time is over, so
that of a thousand keys in use none waits for the database, and reading them again costs a few statements a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Generic, TypeVar

from server.foundation.clock import Clock
from server.storage.database import DatabaseUnavailableError

MAX_AGE_SECONDS: Final = 5.0

REFRESH_SECONDS: Final = 1.0
"""How often `refresh` is to be called."""

_STALE_SECONDS: Final = 3.0
"""From this age on an entry that was used is read again: time enough for a slow database."""

_MOST_AT_ONCE: Final = 100
"""Rows of one statement: making entries of them must not hold up the calls that go on meanwhile."""

_MOST_STATEMENTS: Final = 2
"""Statements of one cache at a time; whatever is looked up meanwhile goes into the next."""

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

Load = Callable[[Sequence[_Key]], Awaitable[Mapping[_Key, _Value]]]
"""Reads the rows of these keys; what is not in its answer does not exist."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[_Value]):
    value: _Value
    load_time: float
    used: bool = False
    """Whether anybody asked for it since it was read."""


@dataclass(slots=True, eq=False)
class _Reading(Generic[_Key]):
    """A statement under way, and what was invalidated meanwhile: it may have read the rows of before."""

    spoiled: set[_Key] = field(default_factory=set)
    spoiled_all: bool = False


class FreshCache(Generic[_Key, _Value]):
    """Rows by key. An entry is at most five seconds old, and goes at once when it is invalidated.

    What a statement read while an invalidation came is handed to whoever waited for it, but not kept: it may be the row
    of before. That a key has no row is not kept either: made-up keys must not fill the cache.
    """

    def __init__(self, clock: Clock, load: Load[_Key, _Value], max_entries: int = 100_000) -> None:
        self._clock = clock
        self._load = load
        self._max_entries = max_entries
        self._entries: dict[_Key, _Entry[_Value]] = {}
        self._asked: dict[_Key, asyncio.Future[_Value | None]] = {}
        """Look-ups that another caller may share: not sent yet, or sent and not spoiled."""
        self._unsent: dict[_Key, asyncio.Future[_Value | None]] = {}
        self._readings: set[_Reading[_Key]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, key: _Key) -> _Value | None:
        """The entry, or None where there is none or it is too old. Never waits."""
        entry = self._entries.get(key)
        if entry is None or self._clock.monotonic() - entry.load_time > MAX_AGE_SECONDS:
            return None
        entry.used = True
        return entry.value

    async def find(self, key: _Key) -> _Value | None:
        """The entry, read where needed; None where it has no row. Raises what reading raises."""
        value = self.get(key)
        if value is not None:
            return value
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = self._unsent[key] = asyncio.get_running_loop().create_future()
            asked.add_done_callback(lambda done: self._answered(key, done))
            self._send_soon()
        # Whoever leaves does not take it from the others.
        return await asyncio.shield(asked)

    async def refresh(self) -> None:
        """Reads again what was used and grows old, and drops what nobody used. To be called every second.

        Raises what reading raises; what could not be read again stays for its five seconds.
        """
        now = self._clock.monotonic()
        old = [key for key, entry in self._entries.items() if now - entry.load_time >= _STALE_SECONDS]
        wanted = [key for key in old if self._entries[key].used]
        for key in old:
            if now - self._entries[key].load_time > MAX_AGE_SECONDS:
                del self._entries[key]
        for start in range(0, len(wanted), _MOST_AT_ONCE):
            await self._renew(wanted[start : start + _MOST_AT_ONCE])

    def forget(self, key: _Key) -> None:
        """Drops one entry."""
        self._entries.pop(key, None)
        if key not in self._unsent:
            self._asked.pop(key, None)
        for reading in self._readings:
            reading.spoiled.add(key)

    def forget_where(self, concerned: Callable[[_Value], bool]) -> None:
        """Drops entries by their value, and everything under way: what it will read is not known. Looks at all."""
        self._entries = {key: entry for key, entry in self._entries.items() if not concerned(entry.value)}
        self._spoil_all()

    def forget_all(self) -> None:
        """Drops every entry."""
        self._entries.clear()
        self._spoil_all()

    def _spoil_all(self) -> None:
        self._asked = dict(self._unsent)
        for reading in self._readings:
            reading.spoiled_all = True

    def _send_soon(self) -> None:
        """After whatever else looks up a row in this turn of the event loop, and with it."""
        if len(self._tasks) < _MOST_STATEMENTS and self._unsent:
            task = asyncio.ensure_future(self._send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self) -> None:
        while self._unsent:
            batch = dict(islice(self._unsent.items(), _MOST_AT_ONCE))
            for key in batch:
                del self._unsent[key]
            await self._answer(batch)

    async def _answer(self, batch: Mapping[_Key, asyncio.Future[_Value | None]]) -> None:
        """Tells everybody who waits. A row that cannot be read is nobody else's failure."""
        try:
            found = await self._read(list(batch))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            if len(batch) > 1 and not isinstance(error, DatabaseUnavailableError):
                for key, asked in batch.items():
                    await self._answer({key: asked})
                return
            for asked in batch.values():
                asked.set_exception(error)
            return
        for key, asked in batch.items():
            asked.set_result(found.get(key))

    async def _renew(self, keys: Collection[_Key]) -> None:
        found = await self._read(list(keys))
        for key in keys:
            if key not in found:
                self._entries.pop(key, None)

    async def _read(self, keys: Sequence[_Key]) -> Mapping[_Key, _Value]:
        reading: _Reading[_Key] = _Reading()
        load_time = self._clock.monotonic()
        self._readings.add(reading)
        try:
            found = await self._load(keys)
        finally:
            self._readings.discard(reading)
        if not reading.spoiled_all:
            self._keep(((key, value) for key, value in found.items() if key not in reading.spoiled), load_time)
        return found

    def _keep(self, found: Iterable[tuple[_Key, _Value]], load_time: float) -> None:
        for key, value in found:
            if len(self._entries) >= self._max_entries and key not in self._entries:
                self._entries.clear()
            self._entries[key] = _Entry(value, load_time)

    def _answered(self, key: _Key, asked: asyncio.Future[_Value | None]) -> None:
        if self._asked.get(key) is asked:
            del self._asked[key]
        if not asked.cancelled():
            asked.exception()
