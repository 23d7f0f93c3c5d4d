"""Signing keys take turns.

A new key is published long enough before it signs that whoever caches the key set has it; the old one verifies until
the last token that it signed has expired, and is deleted then. After a leak the old ones go at once instead.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from server.auth import signing_key_store as store
from server.auth.signing_key_store import SigningKeyRow
from server.auth.signing_keys import RandomBytes, draw
from server.foundation.clock import Clock
from server.foundation.secrets import Sealer
from server.storage.database import Database, Role, Transaction

CACHE_SECONDS: Final = 300
"""How long the published set may be cached."""

LEAD: Final = timedelta(seconds=CACHE_SECONDS + 300)
"""From publishing to signing: the cache's age, and as much again for clocks and slow loads."""

LONGEST_TOKEN: Final = timedelta(days=1, hours=1)
"""No access token lives longer (the setting ends at a day), so a key that retired that long ago verifies nothing."""


class SigningKeyRotation:
    """Makes new keys and deletes old ones, by hand and by the calendar."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        clock: Clock,
        random_bytes: RandomBytes,
        longest_turn: timedelta | None,
    ) -> None:
        """`longest_turn`: how long a key signs before `tend` makes the next; None: until it is done by hand."""
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._random_bytes = random_bytes
        self._longest_turn = longest_turn
        self._log = structlog.get_logger("signing_keys")

    async def list_all(self) -> list[SigningKeyRow]:
        """All keys, newest first."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            return await store.list_all(transaction)

    async def rotate(self) -> SigningKeyRow:
        """Publishes a new key, which takes over after `LEAD`; the others retire then."""
        async with self._database.privileged(Role.KEEPER) as transaction:
            await store.lock(transaction)
            return await self._next(transaction, self._clock.now() + LEAD)

    async def replace_all(self) -> SigningKeyRow:
        """After a leak: a new key signs at once and all others are deleted, so that access tokens so far open nothing.

        Every process follows within five seconds; people go on by their refresh tokens.
        """
        async with self._database.privileged(Role.KEEPER) as transaction:
            await store.lock(transaction)
            now = self._clock.now()
            made = await self._next(transaction, now)
            await store.delete_retired(transaction, now)
        return made

    async def tend(self, transaction: Transaction) -> None:
        """Makes the next key when its turn comes, and deletes those that verify nothing. For role `keeper`."""
        await store.lock(transaction)
        now = self._clock.now()
        keys = await store.list_all(transaction)
        if self._longest_turn is not None and keys and keys[0].activate_time + self._longest_turn <= now + LEAD:
            made = await self._next(transaction, now + LEAD)
            self._log.info("signing_key_made", kid=made.kid, activate_time=made.activate_time.isoformat())
        for kid in await store.delete_retired(transaction, now - LONGEST_TOKEN):
            self._log.info("signing_key_deleted", kid=kid)

    async def _next(self, transaction: Transaction, activate_time: datetime) -> SigningKeyRow:
        row = draw(self._sealer, self._random_bytes, self._clock.now(), activate_time)
        await store.insert(transaction, row)
        await store.retire_others(transaction, row.kid, activate_time)
        return row
