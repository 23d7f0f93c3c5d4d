"""Calls that no plan bounds: counted by address and caller, and let through where nobody can count."""

from __future__ import annotations

from uuid import uuid4

import pytest
from redis.asyncio import Redis

from server.foundation.clock import SystemClock
from server.limits.errors import LimitExceededError
from server.limits.limiter import Limiter
from server.limits.limits import Scope
from server.limits.turnstile import CallTurnstile
from server.rpc.principal import Principal, PrincipalKind
from tests.limits.engine import Engine, Records


def turnstile_of(limiter: Limiter, per_address: int = 5, per_caller: int = 5) -> CallTurnstile:
    return CallTurnstile(limiter, SystemClock(), per_address=per_address, per_caller=per_caller, seconds=60)


async def strangers(turnstiles: list[CallTurnstile], *addresses: str) -> int:
    """How many of the calls of strangers get through, each tried at all turnstiles in turn."""
    through = 0
    for number, address in enumerate(addresses):
        try:
            await turnstiles[number % len(turnstiles)].admit_stranger(address)
        except LimitExceededError:
            continue
        through += 1
    return through


async def test_an_address_is_counted_over_all_processes_ipv6_by_its_subscriber(three: Engine) -> None:
    turnstiles = [turnstile_of(limiter) for limiter in three.limiters]
    # One flows back in twelve seconds, and a busy machine takes its time.
    assert await strangers(turnstiles, *["192.0.2.1"] * 20) in range(5, 9)
    assert await strangers(turnstiles, *["192.0.2.2", "::ffff:192.0.2.2"] * 10) in range(5, 9)
    assert await strangers(turnstiles, *[f"2001:db8::{number:x}" for number in range(1, 21)]) in range(5, 9)


async def test_a_caller_is_counted_apart_from_others_and_from_limits_of_a_plan(engine: Engine) -> None:
    turnstile = turnstile_of(engine.limiters[0])
    first, second = (Principal(PrincipalKind.API_KEY, engine.org_id, frozenset(), key_id=uuid4()) for _ in range(2))
    for _ in range(5):
        await turnstile.admit_caller(first)
    with pytest.raises(LimitExceededError) as refused:
        await turnstile.admit_caller(first)
    assert refused.value.state.limit.scope is Scope.CALLER
    await turnstile.admit_caller(second)


async def test_nobody_is_counted_where_the_bound_is_zero_or_valkey_is_away() -> None:
    async def alone() -> bool:
        return False

    valkey: Redis = Redis.from_url("redis://127.0.0.1:1")
    limiter = Limiter(valkey, Records(), SystemClock(), uuid4(), alone)
    for turnstile in (turnstile_of(limiter), turnstile_of(limiter, 0, 0)):
        assert await strangers([turnstile], *["192.0.2.1"] * 20) == 20
    await valkey.aclose()
