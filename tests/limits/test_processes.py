"""Three real processes share one allowance, whatever becomes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast
from uuid import uuid4

from server.limits.shares import SLOT_LIFE_SECONDS
from tests.limits.engine import admitted, open_engine, slots

Limits = Sequence[tuple[str, str, str, int]]

# Every daily plan, and an hourly one: requests a day, tokens a day.
_PLANS: list[tuple[Limits, int]] = [
    *(
        ([("plan", "requests", "day", requests), ("plan", "tokens", "day", tokens)], requests)
        for requests, tokens in ((10, 1000), (100, 5000), (500, 20_000), (2000, 100_000))
    ),
    ([("plan", "requests", "hour", 1000), ("plan", "requests", "month", 10**6), ("key", "concurrency", "", 60)], 1000),
]


@contextmanager
def _callers(url: str, *numbers: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of so many callers each, ready."""
    command = [sys.executable, "-P", "-m", "tests.limits.caller", url]
    started = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in numbers
    ]
    try:
        assert [_hear(process) for process in started] == ["ready"] * len(started)
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _say(process: subprocess.Popen[str], org_id: str, limits: Limits, *, hold: bool = False) -> None:
    pipe = cast("IO[str]", process.stdin)
    pipe.write(json.dumps({"org": org_id, "limits": limits, "hold": hold}) + "\n")
    pipe.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    return cast("IO[str]", process.stdout).readline().strip()


def test_fifty_callers_in_three_processes_get_exactly_the_allowance_of_every_plan(valkey_url: str) -> None:
    with _callers(valkey_url, 17, 17, 16) as processes:
        for limits, expected in _PLANS:
            org_id = str(uuid4())
            for process in processes:
                _say(process, org_id, limits)
            assert sum(int(_hear(process)) for process in processes) == expected, limits


async def test_slots_of_a_killed_process_come_back_by_themselves(valkey_url: str) -> None:
    async with open_engine(valkey_url) as engine:
        gate = engine.gate(slots(6, subject=""))
        with _callers(valkey_url, 6) as (holder,):
            _say(holder, str(engine.org_id), [("key", "concurrency", "", 6)], hold=True)
            assert _hear(holder) == "6"
            assert await admitted(gate, 1) == []
        # Nobody takes them back for it: their time ends by Valkey's clock.
        assert await admitted(gate, 1) == []
        engine.pass_time(SLOT_LIFE_SECONDS + 1)
        assert len(await admitted(gate, 7)) == 6


async def test_a_process_killed_in_the_middle_makes_nobody_cross_the_limit(valkey_url: str) -> None:
    limits: Limits = [("plan", "requests", "day", 400)]
    org_id = str(uuid4())
    with _callers(valkey_url, 150, 5) as (victim, other):
        _say(victim, org_id, limits, hold=True)
        spent = int(_hear(victim))
        assert spent == 150
        victim.kill()
        _say(other, org_id, limits)
        assert 150 <= int(_hear(other)) <= 250
