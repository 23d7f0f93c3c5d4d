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

# Named script: pulse. The mark of `counters_since`, and the tags whose units somebody called back in the last second.
_PULSE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local since = redis.call('GET', KEYS[2])
if not since then
  since = string.format('%.0f', now)
  redis.call('SET', KEYS[2], since)
end
return {since, unpack(redis.call('ZRANGEBYSCORE', KEYS[1], now - 1000, '+inf'))}
"""

# Named script: recall_tag. Calls back what is held of a tag; forgets recalls of before.
_RECALL: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000)
return 1
"""
_RECALLS: Final = "{tollbridge:limits}:recalls"
_MARK: Final = "{tollbridge:limits}:since"

_ANSWER_SECONDS: Final = 0.6
"""Longest wait for Valkey."""
PULSE_SECONDS: Final = 1.0
"""How long units that are held may be used after Valkey last answered: so soon a hanging one stops every call."""
_AWAY_SECONDS: Final = 0.2
"""How long nobody asks after it did not answer; then one does."""


Request = tuple[Sequence[str], Sequence[str]]
"""Keys and arguments of one call of the script."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the script says of one counter, times in ms."""

    window: int
    """1 or 2: the window asked for, or the next."""
    epoch: str
    """Of the counter; "-": it has to be rebuilt."""
    used: int
    extra: int
    reset: int
    """-1: never."""
    wait: int
    """Until what was asked for is free; -1: never."""
    recall: bool

    @property
    def is_known(self) -> bool:
        """Whether the counter counts."""
        return self.epoch != "-"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the script decided."""

    word: str
    number: int
    now: int
    """Valkey's time, Unix ms, moved by the offset."""
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Pulse:
    """What every process hears four times a second."""

    mark: str
    """Of Valkey's memory: another one where it was lost."""
    recalled: set[str]
    """Tags whose units are called back."""


class Script:
    """Runs the script; knows for a moment that Valkey is away, so that callers do not queue for it.

    While it answers, every process may use what it holds (`good_until`).
    """

    def __init__(self, valkey: Redis, clock: Clock, offset_ms: int = 0) -> None:
        """`offset_ms` moves Valkey's time, for tests of what happens at midnight."""
        self._valkey = valkey
        self._clock = clock
        self._away_until = 0.0
        self.good_until = 0.0
        """Monotonic seconds: past it, nothing may be decided without asking."""
        self.offset_ms = offset_ms
        self.round_trips = 0
        """That were answered."""

    async def decide(self, keys: Sequence[str], arguments: Sequence[str]) -> Answer:
        """One call of the script. Raises `UnavailableError` within `_ANSWER_SECONDS`."""
        return _answer(await self._ask(self._evaluate(keys, arguments)))

    async def decide_all(self, requests: Sequence[Request]) -> Sequence[Answer | None]:
        """Many calls of the script in one round trip; None where one has to be sent by itself.

        Raises `UnavailableError` within `_ANSWER_SECONDS`.
        """
        pipeline = self._valkey.pipeline(transaction=False)
        for keys, arguments in requests:
            # Kept until it is executed: nothing to wait for.
            _ = pipeline.evalsha(_DECIDE_SHA, len(keys), *keys, *arguments)
        rows = await self._ask(pipeline.execute(raise_on_error=False))
        return [None if isinstance(row, Exception) else _answer(row) for row in rows]

    async def kept_seconds(self) -> float:
        """Since when Valkey has lost nothing, as far as its memory goes. Raises `UnavailableError`."""
        return int(await self._ask(self._valkey.eval(_SINCE, 1, _MARK))) / 1000

    async def pulse(self) -> Pulse:
        """Sees that Valkey answers, and remembers. Raises `UnavailableError`."""
        mark, *tags = await self._ask(self._valkey.eval(_PULSE, 2, _RECALLS, _MARK))
        return Pulse(mark.decode(), {tag.decode() for tag in tags})

    async def recall(self, tag: str) -> None:
        """Calls back what other processes hold of a tag. Raises `UnavailableError`."""
        await self._ask(self._valkey.eval(_RECALL, 1, _RECALLS, tag))

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
        before, task = self._clock.monotonic(), asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await command
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock.monotonic() + _AWAY_SECONDS
            raise UnavailableError(f"Valkey does not count: {error!r}") from error
        if task is not None and task.cancelling() > cancels:
            # The client waits by asyncio.wait_for, which before Python 3.12 loses a cancellation that comes as it ends.
            raise asyncio.CancelledError
        self.good_until = before + PULSE_SECONDS
        self.round_trips += 1
        return answer


def _close(command: Awaitable[Any]) -> None:
    """What will not be waited for must not complain of it."""
    close = getattr(command, "close", None)
    if close is not None:
        close()


def _answer(row: Sequence[Any]) -> Answer:
    word, number, now, *rest = row
    return Answer(word.decode(), int(number), int(now), [_line(line) for line in rest])


def _line(text: bytes) -> Line:
    window, epoch, used, extra, reset, wait, recall = text.split()
    return Line(int(window), epoch.decode(), int(used), int(extra), int(reset), int(wait), recall == b"1")
