"""Calls beside chat: a caller of few is not counted over processes, one of many is, and neither passes for long."""

from __future__ import annotations

from uuid import uuid4

import pytest

from server.limits.errors import LimitExceededError
from server.limits.turnstile import CallTurnstile
from server.rpc.principal import Principal, PrincipalKind
from tests.limits.engine import Engine

_LIMIT = 50
_FEW = 5


def _caller() -> Principal:
    return Principal(PrincipalKind.API_KEY, uuid4(), frozenset(), key_id=uuid4())


def _turnstile(engine: Engine, requests: int = _LIMIT) -> CallTurnstile:
    return CallTurnstile(engine.limiters[0], engine.clock, per_address=0, per_caller=requests, seconds=60)


async def test_a_caller_of_few_calls_costs_no_round_trip(engine: Engine) -> None:
    turnstile, caller = _turnstile(engine), _caller()
    for _ in range(3):
        for _ in range(_FEW):
            await turnstile.admit_caller(caller)
        engine.clock.advance(60)
    assert await engine.valkey.keys("tollbridge:limit:*") == []


async def test_a_caller_of_many_calls_is_counted_and_ends(engine: Engine) -> None:
    turnstile, caller = _turnstile(engine), _caller()
    for _ in range(_FEW + _LIMIT):
        await turnstile.admit_caller(caller)
    with pytest.raises(LimitExceededError):
        await turnstile.admit_caller(caller)
    await turnstile.admit_caller(_caller())


async def test_a_small_limit_is_exact(engine: Engine) -> None:
    turnstile, caller = _turnstile(engine, 3), _caller()
    for _ in range(3):
        await turnstile.admit_caller(caller)
    with pytest.raises(LimitExceededError):
        await turnstile.admit_caller(caller)
