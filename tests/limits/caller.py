"""A process that calls through limits: `python -m tests.limits.caller URL CALLERS`.

For each line of `{"org": …, "limits": [[scope, unit, per, allowance], …]}` it lets its callers call until a limit
refuses, and prints how often they were let through. With `"hold": true` each calls once and never ends its call.
"""

from __future__ import annotations

import asyncio
import json
import sys
from uuid import UUID, uuid4

from redis.asyncio import Redis

from server.foundation.clock import SystemClock
from server.limits.errors import LimitExceededError
from server.limits.gate import Admission, Gate
from server.limits.limiter import TEND_SECONDS, Limiter
from server.limits.limits import Limit, Per, Scope, Unit
from tests.limits.engine import UTC_ZONE, Records


async def main(url: str, callers: int) -> None:
    async with Redis.from_url(url) as client:
        limiter = Limiter(client, Records(), SystemClock(), uuid4(), _nobody)
        tending = asyncio.create_task(_tend(limiter))
        print("ready", flush=True)
        held = []
        while line := await asyncio.to_thread(sys.stdin.readline):
            task = json.loads(line)
            gate = limiter.gate(UUID(task["org"]), UTC_ZONE, [_limit(row) for row in task["limits"]])
            if task.get("hold"):
                held += [call for _ in range(callers) for call in await _call(gate)]
                print(len(held), flush=True)
                continue
            print(sum(await asyncio.gather(*(_call_until_refused(gate) for _ in range(callers)))), flush=True)
        tending.cancel()
        await limiter.close()


async def _call_until_refused(gate: Gate) -> int:
    through = 0
    while calls := await _call(gate):
        for call in calls:
            call.settle(5)
            call.release()
        through += 1
        await asyncio.sleep(0)
    return through


async def _call(gate: Gate) -> list[Admission]:
    try:
        return [await gate.admit(20)]
    except LimitExceededError:
        return []


async def _tend(limiter: Limiter) -> None:
    while True:
        await limiter.tend()
        await asyncio.sleep(TEND_SECONDS)


def _limit(row: tuple[str, str, str, int]) -> Limit:
    scope, unit, per, allowance = row
    return Limit(Scope(scope), Unit(unit), Per(per) if per else None, allowance)


async def _nobody() -> bool:
    return False


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
