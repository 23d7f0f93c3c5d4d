"""Cached entries that changed elsewhere: told through a table, hastened by pub/sub.

Every process polls the table every 500 ms, so that a change reaches it even with the bus down. A message on the bus
only makes it poll at once. Entries are never older than five seconds anyway (`server.storage.cache`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.storage.database import Database, DatabaseUnavailableError, Role, Transaction

POLL_SECONDS: Final = 0.5
CHANNEL: Final = "tollbridge:invalidation"
_BUS_RETRY_SECONDS: Final = 1.0

# Named query: invalidation_announce. One row for each changed thing; every process reads it.
_ANNOUNCE: Final = "INSERT INTO invalidation (kind, subject) VALUES ($1, $2)"

# Named query: invalidation_recent. What changed in the last 15 seconds: longer than any transaction that announces
# may take to commit after its row was written.
_RECENT: Final = "SELECT id, kind, subject FROM invalidation WHERE create_time > now() - interval '15 seconds'"

# Named query: invalidation_sweep. Rows that every process has read or outlived.
_SWEEP: Final = "DELETE FROM invalidation WHERE create_time < now() - interval '10 minutes'"

Listener = Callable[[str], None]
"""Drops the cached entry of a subject."""


async def announce(transaction: Transaction, kind: str, subject: str) -> None:
    """Says, in the transaction that changes it, that cached entries of this kind and subject are stale."""
    await transaction.execute(_ANNOUNCE, kind, subject)


async def sweep(transaction: Transaction) -> None:
    """Deletes rows that no process needs any more. The keeper's work."""
    await transaction.execute(_SWEEP)


class Invalidations:
    """One process' ear: reads the table and drops what changed."""

    def __init__(self, database: Database, bus: Redis, listeners: Mapping[str, Listener]) -> None:
        self._database = database
        self._bus = bus
        self._listeners = dict(listeners)
        self._seen: set[int] = set()
        self._wake = asyncio.Event()
        self._log = structlog.get_logger("invalidation")

    def listen(self, kind: str, listener: Listener) -> None:
        """One more listener, for a kind that has none."""
        self._listeners[kind] = listener

    async def poll(self) -> None:
        """Drops every entry that was announced since the last poll. Raises `DatabaseUnavailableError`."""
        async with self._database.statement(Role.LOOKUP) as transaction:
            rows = await transaction.fetch(_RECENT)
        for row in rows:
            if row["id"] not in self._seen and (listener := self._listeners.get(row["kind"])) is not None:
                listener(row["subject"])
        self._seen = {row["id"] for row in rows}

    async def hasten(self) -> None:
        """After a change here: applies it to this process now, and asks the others to look. Raises nothing."""
        await self._poll_or_log()
        try:
            await self._bus.publish(CHANNEL, b"")
        except RedisError as error:
            self._log.warning("bus_away", error=repr(error))

    async def run(self) -> None:
        """Polls until it is cancelled."""
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                await self._poll_or_log()
                await self._rest()
        finally:
            listening.cancel()
            await asyncio.wait((listening,))

    async def _poll_or_log(self) -> None:
        try:
            await self.poll()
        except DatabaseUnavailableError as error:
            self._log.warning("poll_failed", error=str(error))

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._bus.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    async for _ in subscription.listen():
                        self._wake.set()
            except RedisError as error:
                self._log.warning("bus_away", error=repr(error))
            await asyncio.sleep(_BUS_RETRY_SECONDS)
