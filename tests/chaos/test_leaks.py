"""Nothing stays held: of many calls some are left, some fail, and some die with their worker."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from datetime import UTC, datetime

import asyncpg

from tests.chaos import books, oracles
from tests.chaos.clients import Clients
from tests.chaos.load import Payer
from tests.chaos.product import NANO, Product
from tests.chaos.transcript import Call
from tests.support.provider_double import Ending, Opening, Refusal, Script

_CALLS = 160
_AT_ONCE = 20
_KILLED_AFTER = (40, 80, 120)
"""Calls that were begun before each kill."""
_QUIET_SECONDS = 60.0
_DOLLARS = 2000
_RESERVED = """
SELECT count(*) FROM ledger_account a JOIN organization o ON o.id = a.org_id
WHERE a.debits_pending <> 0 OR a.credits_pending <> 0
"""


async def test_a_minute_after_calls_were_left_failed_and_killed_nothing_is_held(
    product: Product, clients: Clients
) -> None:
    payer = product.payer(_DOLLARS, "org/renamed", _AT_ONCE)
    chance = random.Random(7)
    calls = [_planned(number, payer, chance) for number in range(_CALLS)]
    begun = itertools.count(1)

    async def call_in_turn(lane: int) -> None:
        for call in calls[lane::_AT_ONCE]:
            if next(begun) in _KILLED_AFTER:
                os.kill(min(product.workers()), signal.SIGKILL)
            product.scripts[call.label] = call.script
            call.begun = datetime.now(UTC)
            client = chance.choice((clients.stream, clients.grpc_stream))
            await client(call, payer.model, payer.keys[lane][1])

    await asyncio.gather(*map(call_in_turn, range(_AT_ONCE)))
    connection = await books.connect(product.served.data_dir)
    try:
        seconds = await _until_nothing_is_reserved(connection)
        events = [
            event for event in await books.read_events(connection) if event.organization_id == calls[0].organization_id
        ]
        money = await books.read_money(connection)
    finally:
        await connection.close()
    endings = sorted({event.ending for event in events})
    print(f"{len(events)} of {_CALLS} calls recorded, {endings}; nothing reserved {seconds:.0f} s later")
    requests = [each for each in product.served.provider.requests if b'"leak ' in each.body]
    assert oracles.judge(calls, requests, events) == []
    assert oracles.judge_money({payer.organization_id: _DOLLARS * NANO}, events, money) == []
    assert endings == ["client_left", "complete", "interrupted", "provider_failed"]


def _planned(number: int, payer: Payer, chance: random.Random) -> Call:
    """Of ten calls three are left, three fail, and of the others some are under way when their worker is killed."""
    tokens = chance.randint(10, 60)
    script, leave_after = Script(tokens=tokens, interval=0.01), None
    kind = number % 10
    if kind < 3:
        leave_after = chance.randint(0, tokens - 1)
    elif kind < 6:
        failing = (
            Script(tokens=tokens, ending=Ending.RESET),
            Script(tokens=tokens, interval=0.005, ending=Ending.CUT),
            Script(opening=Opening.RESET),
            Script(refusal=Refusal.broken()),
        )
        script = failing[number // 10 % len(failing)]
    return Call(
        f"leak {number}",
        payer.organization_id,
        payer.keys[number % _AT_ONCE][0],
        script,
        leave_after,
        datetime.now(UTC),
    )


async def _until_nothing_is_reserved(connection: asyncpg.Connection) -> float:
    """Seconds until nothing was, leases of living processes included: they are given back when nobody calls."""
    begin = time.monotonic()
    while await connection.fetchval(_RESERVED):
        assert time.monotonic() - begin < _QUIET_SECONDS, "something stays reserved"
        await asyncio.sleep(0.25)
    return time.monotonic() - begin
