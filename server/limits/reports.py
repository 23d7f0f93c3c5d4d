"""What many groups have to tell, in few round trips: the price of one each would be the price of most of the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Final

from server.foundation.clock import Clock
from server.limits.group import MOST_LINES, Group
from server.limits.script import Script
from server.limits.telling import Told

_TOGETHER: Final = 16
"""Requests in one round trip: others wait so long for Valkey."""

_Report = tuple[Group, list[Told]]


async def report_together(groups: Sequence[Group], script: Script, clock: Clock) -> list[Group]:
    """Tells what is due of all groups; returns those that have to report by themselves: they ask just now, have much to
    tell, or Valkey does not know the script.

    Raises `UnavailableError`.
    """
    alone: list[Group] = []
    remaining = iter(groups)
    while await _some(remaining, script, clock, alone):
        pass
    return alone


async def _some(remaining: Iterator[Group], script: Script, clock: Clock, alone: list[Group]) -> bool:
    """One round trip; whether there was anything left to tell."""
    reports: list[_Report] = []
    async with AsyncExitStack() as turns:
        for group in remaining:
            if group.is_asking:
                alone.append(group)
                continue
            # Nobody waits for it. What is told is looked up only now: the last number must tell the newest.
            await turns.enter_async_context(group.turn)
            lines = group.lines_due()
            if not lines:
                group.drop_what_is_told()
            elif len(lines) > MOST_LINES:
                alone.append(group)
            else:
                reports.append((group, lines))
            if len(reports) == _TOGETHER:
                break
        if not reports:
            return False
        await _tell(reports, script, clock, alone)
    return True


async def _tell(reports: Sequence[_Report], script: Script, clock: Clock, alone: list[Group]) -> None:
    requests = [group.request(lines) for group, lines in reports]
    before = clock.monotonic()
    answers = await script.decide_all(requests)
    for (group, lines), answer in zip(reports, answers, strict=True):
        if answer is None:
            alone.append(group)
            continue
        group.learn(lines, answer, before)
        group.drop_what_is_told()
