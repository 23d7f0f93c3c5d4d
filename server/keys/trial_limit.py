"""How many trial keys an address gets on one day (UTC). Counted in Valkey, so that processes do not multiply it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.auth.throttle import site_of
from server.foundation.clock import Clock
from server.foundation.secrets import Pepper
from server.keys.errors import TrialLimitReachedError
from server.rpc.errors import UnavailableError

_SECONDS: Final = 1.0
"""Longest wait for Valkey."""


class TrialLimit:
    """Counts trials by address: IPv4 whole, IPv6 by its /64."""

    def __init__(self, valkey: Redis, pepper: Pepper, clock: Clock, a_day: int) -> None:
        """`pepper` hides addresses from whoever reads Valkey."""
        self._valkey = valkey
        self._pepper = pepper
        self._clock = clock
        self._a_day = a_day

    async def take(self, ip: str) -> None:
        """Counts one. Raises `TrialLimitReachedError`, and `UnavailableError` where nobody can count."""
        now = self._clock.now().astimezone(UTC)
        tomorrow = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        subject = self._pepper.digest(f"{now:%Y-%m-%d}|{site_of(ip)}".encode()).hex()[:32]
        if await self._count(f"tollbridge:trials:{subject}") > self._a_day:
            raise TrialLimitReachedError((tomorrow - now).total_seconds())

    async def _count(self, key: str) -> int:
        try:
            async with asyncio.timeout(_SECONDS), self._valkey.pipeline(transaction=True) as pipeline:
                # Queued, so there is nothing to wait for yet.
                _ = pipeline.incr(key), pipeline.expire(key, timedelta(days=2))
                count, _ = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise UnavailableError(f"Valkey does not count trials: {error!r}") from error
        return int(count)
