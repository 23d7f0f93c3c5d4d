"""The script that decides, and how it is called."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from server.foundation.clock import Clock
from server.rpc.errors import UnavailableError

_DECIDE: Final = Path(__file__).with_name("decide.lua").read_text("utf-8")
_DECIDE_SHA: Final = hashlib.sha1(_DECIDE.encode(), usedforsecurity=False).hexdigest()

# Named script: counters_since. Since how many ms Valkey has kept what is counted; the first who asks sets the mark.
_SINCE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local since = redis.call('GET', KEYS[1])
if not since then
  since = string.format('%.0f', now)
  redis.call('SET', KEYS[1], since)
end
return string.format('%.0f', now - tonumber(since))
"""
_MARK: Final = "tollbridge:limits:since"

_FIELDS: Final = 7
"""Of an answer's line."""
_ANSWER_SECONDS: Final = 0.6
"""Longest wait for Valkey."""
_AWAY_SECONDS: Final = 0.2
"""How long nobody asks after it did not answer; then one does."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the script says of one counter, times in ms."""

    window: int
    """1 or 2: the window asked for, or the next."""
    epoch: str
    """Of the counter; empty: it has to be rebuilt."""
    used: int
    extra: int
    reset: int
    """-1: never."""
    wait: int
    """Until what was asked for is free; -1: never."""
    recall: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the script decided."""

    word: str
    number: int
    now: int
    """Valkey's time, Unix ms, moved by the offset."""
    lines: Sequence[Line]


class Script:
    """Runs the script; knows for a moment that Valkey is away, so that callers do not queue for it."""

    def __init__(self, valkey: Redis, clock: Clock, offset_ms: int = 0) -> None:
        """`offset_ms` moves Valkey's time, for tests of what happens at midnight."""
        self._valkey = valkey
        self._clock = clock
        self._away_until = 0.0
        self.offset_ms = offset_ms

    async def decide(self, keys: Sequence[str], arguments: Sequence[str]) -> Answer:
        """One call of the script. Raises `UnavailableError` within `_ANSWER_SECONDS`."""
        row = await self._ask(self._evaluate(keys, arguments))
        word, number, now, *rest = row
        lines = [_line(rest[at : at + _FIELDS]) for at in range(0, len(rest), _FIELDS)]
        return Answer(word.decode(), int(number), int(now), lines)

    async def kept_seconds(self) -> float:
        """Since when Valkey has lost nothing, as far as its memory goes. Raises `UnavailableError`."""
        return int(await self._ask(self._valkey.eval(_SINCE, 1, _MARK))) / 1000

    async def _evaluate(self, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        try:
            return await self._valkey.evalsha(_DECIDE_SHA, len(keys), *keys, *arguments)
        except NoScriptError:
            # A server that was restarted, or another one.
            return await self._valkey.eval(_DECIDE, len(keys), *keys, *arguments)

    async def _ask(self, command: Awaitable[Any]) -> Any:
        if self._clock.monotonic() < self._away_until:
            _close(command)
            raise UnavailableError("Valkey does not count: it did not answer a moment ago")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await command
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock.monotonic() + _AWAY_SECONDS
            raise UnavailableError(f"Valkey does not count: {error!r}") from error


def _close(command: Awaitable[Any]) -> None:
    """What will not be waited for must not complain of it."""
    close = getattr(command, "close", None)
    if close is not None:
        close()


def _line(row: Sequence[Any]) -> Line:
    window, epoch, used, extra, reset, wait, recall = row
    return Line(window, epoch.decode(), int(used), int(extra), int(reset), int(wait), recall == 1)
