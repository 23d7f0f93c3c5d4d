"""Counts calls that no plan bounds: those of one caller, and those without a valid credential by their address.

A caller of few calls costs no round trip: the first tenth of its limit in each window is let through by each process
alone, beside the limit itself, so that of 600 calls a minute over two processes at most 720 pass.

Nothing paid passes here, so while Valkey is away calls go on: after a moment, and then for a while at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from server.auth.throttle import site_of
from server.foundation.clock import Clock
from server.limits.errors import LimitExceededError
from server.limits.gate import Gate
from server.limits.limiter import Limiter
from server.limits.limits import Limit, Per, Scope, Unit
from server.rpc.errors import UnavailableError
from server.rpc.principal import Principal

_UTC: Final = ZoneInfo("UTC")
_MOST_KEPT: Final = 10_000
"""Addresses, and callers, of which a process remembers how they stand."""
_PATIENCE_SECONDS: Final = 0.5
_AWAY_SECONDS: Final = 2.0
"""How long nobody is counted after Valkey did not answer."""
_UNCOUNTED: Final = 10
"""A process lets so many-th part of a caller's limit through by itself."""
_REFUSED_SECONDS: Final = 1.0
"""Who was refused is refused again without asking, for so long at most."""

_log = structlog.get_logger("limits")


def rate(scope: Scope, requests: int, seconds: int, subject: str = "") -> Limit:
    """At most so many requests in so many seconds, all of which may come at once; flows back by whole requests a
    minute, one at least."""
    return Limit(scope, Unit.REQUESTS, Per.MINUTE, max(1, requests * 60 // seconds), subject, requests)


@dataclass(slots=True)
class _Uncounted:
    """Calls that one caller may still send in a window without being counted."""

    until: float
    left: int


class CallTurnstile:
    """The pipeline's `Turnstile`."""

    def __init__(self, limiter: Limiter, clock: Clock, *, per_address: int, per_caller: int, seconds: int) -> None:
        """Requests: `per_address` in a minute without a valid credential, `per_caller` in `seconds` beside chat; 0 of
        either counts nobody."""
        self._limiter = limiter
        self._clock = clock
        self._per_address = per_address
        self._per_caller = per_caller
        self._seconds = seconds
        self._few = per_caller // _UNCOUNTED
        self._uncounted: dict[object, _Uncounted] = {}
        self._gates: dict[object, Gate] = {}
        self._refused: dict[object, tuple[float, LimitExceededError]] = {}
        self._away_until = 0.0

    async def admit_stranger(self, ip: str) -> None:
        """Counts a call without a valid credential. Raises `LimitExceededError`."""
        if not self._per_address:
            return
        site = site_of(ip)
        await self._admit(site, lambda: self._address_gate(site))

    async def admit_caller(self, caller: Principal) -> None:
        """Counts a call of a key or person. Raises `LimitExceededError`."""
        who = caller.key_id or caller.user_id
        if self._per_caller and not self._is_one_of_few(who):
            await self._admit(who, lambda: self._caller_gate(caller))

    def _is_one_of_few(self, who: object) -> bool:
        """Whether the call is let through by this process alone."""
        now, calls = self._clock.monotonic(), self._uncounted.get(who)
        if calls is None or now >= calls.until:
            if len(self._uncounted) >= _MOST_KEPT:
                self._uncounted.clear()
            calls = self._uncounted[who] = _Uncounted(now + self._seconds, self._few)
        calls.left -= 1
        return calls.left >= 0

    async def _admit(self, who: object, open_gate: Callable[[], Gate]) -> None:
        gate = self._gates.get(who)
        if gate is None:
            if len(self._gates) >= _MOST_KEPT:
                self._gates.clear()
            gate = self._gates[who] = open_gate()
        if gate.take() is None:
            await self._ask(who, gate)

    async def _ask(self, who: object, gate: Gate) -> None:
        now = self._clock.monotonic()
        if now < self._away_until:
            return
        refused = self._refused.get(who)
        if refused is not None and now < refused[0]:
            raise refused[1].with_traceback(None)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await gate.admit()
        except LimitExceededError as error:
            self._remember(who, now, error)
            raise
        except (UnavailableError, TimeoutError) as error:
            self._away_until = self._clock.monotonic() + _AWAY_SECONDS
            _log.warning("calls are not counted", error=repr(error))

    def _remember(self, who: object, now: float, error: LimitExceededError) -> None:
        if len(self._refused) >= _MOST_KEPT:
            self._refused.clear()
        self._refused[who] = (now + min(_REFUSED_SECONDS, error.retry_after or _REFUSED_SECONDS), error)

    def _address_gate(self, site: str) -> Gate:
        return self._limiter.address_gate(site, [rate(Scope.ADDRESS, self._per_address, 60)])

    def _caller_gate(self, caller: Principal) -> Gate:
        who = str(caller.key_id or caller.user_id)
        return self._limiter.gate(caller.org_id, _UTC, [rate(Scope.CALLER, self._per_caller, self._seconds, who)])
