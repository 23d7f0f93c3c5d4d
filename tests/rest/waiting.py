"""Waiting for what happens inside the bridge or the kernel, where there is no event to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LOOK_SECONDS = 0.005
_STILL_LOOKS = 20


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits until the condition holds, at most ten seconds unless told otherwise."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(_LOOK_SECONDS)


async def until_still(value: Callable[[], int]) -> None:
    """Waits until the value has not changed for a tenth of a second."""
    before, same = -1, 0
    async with asyncio.timeout(10):
        while same < _STILL_LOOKS:
            same = same + 1 if value() == before else 0
            before = value()
            await asyncio.sleep(_LOOK_SECONDS)
