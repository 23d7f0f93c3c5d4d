"""A group that nobody kept a gate of is forgotten, and what it told Valkey is not in the way of the next one."""

from __future__ import annotations

import gc

from server.limits.limits import Per
from tests.limits.engine import Engine, requests


async def test_an_organization_that_was_forgotten_is_counted_on(engine: Engine) -> None:
    for _ in range(5):
        (await engine.gate(requests(Per.DAY, 100)).admit()).release()
        await engine.tend()
    await engine.tend()
    gc.collect()
    anew = engine.gate(requests(Per.DAY, 100))
    (await anew.admit()).release()
    assert [state.remaining for state in await anew.look()] == [94]
