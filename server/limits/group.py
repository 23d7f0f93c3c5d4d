"""The counters of one organization in this process, and its one conversation with Valkey.

Requests follow one another, never side by side: each tells what this process holds, so the last one must be the
newest. Callers that wait meanwhile look again in memory when their turn comes.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from server.foundation.clock import Clock
from server.limits.counters import Counter, counter_name
from server.limits.errors import LimitExceededError
from server.limits.gate import Admission, Gate
from server.limits.limits import Limit, Unit
from server.limits.metrics import Figures
from server.limits.rebuilding import UsedSoFar, WantedSum
from server.limits.script import Answer, Request, Script
from server.limits.shares import FAIR_PART, LIFE_SECONDS, RENEW_SECONDS, UNKNOWN, Share
from server.limits.telling import RECALLED_SECONDS, Told
from server.rpc.errors import UnavailableError
from server.storage.database import DatabaseUnavailableError

_PATIENCE_SECONDS: Final = 0.9
"""Longest wait of a caller, for its turn and for the answer."""
_RECALL_SECONDS: Final = 0.7
"""So long a caller waits for units that others hold."""
_LOOK_AGAIN_SECONDS: Final = 0.03
_SETTLED_SECONDS: Final = 1.5
"""After a loss of Valkey's memory, every process has told within this time what it holds."""
_LIFE_MS: Final = int(LIFE_SECONDS * 1000)
_BOOKS_MS: Final = 20_000
"""After a process died, the database knows within this time what its calls used."""
_TRIES: Final = 6
_NUMBERS: Final = itertools.count(1)
"""Of requests to Valkey. A group that nobody uses is forgotten, and Valkey remembers its last number for a while: the
next one of the same tag must not begin below it."""
MOST_LINES: Final = 60
"""Counters that one request is about."""


class Group:
    """What stands under one tag: an organization, or an address."""

    def __init__(
        self,
        tag: str,
        org_id: UUID | None,
        process: str,
        script: Script,
        used_so_far: UsedSoFar,
        clock: Clock,
        figures: Figures,
        others_run: Callable[[], Awaitable[bool]],
        active: set[Group],
    ) -> None:
        """`org_id` is None for an address: the database knows nothing of it. `active`: groups that have something to
        tell."""
        self.tag = tag
        self._org_id = org_id
        self._process = process
        self._script = script
        self._used_so_far = used_so_far
        self._clock = clock
        self._figures = figures
        self._others_run = others_run
        self.turn = asyncio.Lock()
        """Whoever has it tells or asks."""
        self._asking = 0
        self._ahead_ms = clock.now().timestamp() * 1000 + script.offset_ms - clock.monotonic() * 1000
        """Valkey's time minus ours."""
        self._counters: WeakValueDictionary[str, Counter] = WeakValueDictionary()
        self._held: dict[Share, Counter] = {}
        """Shares of which Valkey must hear."""
        self._active = active

    def counter(self, limit: Limit, zone: ZoneInfo) -> Counter:
        """The counter of the limit: one for all gates."""
        name = counter_name(limit, zone)
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = Counter(self.tag, limit, zone)
        counter.limit = limit
        return counter

    def keep(self, share: Share, counter: Counter) -> None:
        """Valkey will hear of the share with the next report."""
        if not share.kept:
            share.kept = True
            self._held[share] = counter
            self._active.add(self)

    @property
    def is_asking(self) -> bool:
        """Whether calls wait for Valkey, or for their turn."""
        return self._asking > 0 or self.turn.locked()

    @property
    def slices(self) -> int:
        """Counters of which units are held ahead of need."""
        return sum(share.free > 0 for share in self._held)

    async def decide(self, gate: Gate, tokens: int, least_tokens: int | None) -> Admission:
        """See `Gate.admit`."""
        self._asking += 1
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._decide_in_turn(gate, tokens, least_tokens)
        except TimeoutError as error:
            self._figures.unavailable += 1
            raise UnavailableError("limits: no turn in time") from error
        except UnavailableError:
            self._figures.unavailable += 1
            raise
        finally:
            self._asking -= 1

    async def look(self, gate: Gate) -> None:
        """See `Gate.look`."""
        self._asking += 1
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self.turn:
                await self._ask(gate, 0, None, calls=0)
        except TimeoutError as error:
            raise UnavailableError("limits: no turn in time") from error
        finally:
            self._asking -= 1

    async def report(self) -> None:
        """Tells Valkey what changed, renews what is used, gives back what is not. To be called every quarter second."""
        async with self.turn:
            lines = self.lines_due()
            for at in range(0, len(lines), MOST_LINES):
                await self._exchange(lines[at : at + MOST_LINES])
            self.drop_what_is_told()

    def lines_due(self) -> list[Told]:
        """What a report has to tell now; for whoever has the turn."""
        now = self._clock.monotonic()
        lines = [line for share, counter in self._held.items() if (line := self._due(share, counter, now))]
        if lines:
            # The way is paid for: what else changed goes with it.
            due = {line.share for line in lines}
            others = [item for item in self._held.items() if item[0].is_changed and item[0] not in due]
            lines += [Told(counter, share, counter.limit, 0, False, 0, -1) for share, counter in others]
        return lines

    def tell_anew(self) -> None:
        """Valkey forgot: all that is held is told with the next report, and not used before."""
        for share in self._held:
            share.told, share.good_until = UNKNOWN, 0.0

    def give_back(self) -> None:
        """Somebody is short of units: holds none ahead of need for a while."""
        until = self._clock.monotonic() + RECALLED_SECONDS
        for share, counter in self._held.items():
            counter.recalled_until = max(counter.recalled_until, until)
            if share.told[2]:
                # What others believe to be free is told now, be it used meanwhile.
                share.told = UNKNOWN

    async def close(self) -> None:
        """Gives back what no call holds."""
        for counter in self._held.values():
            counter.recalled_until = math.inf
        await self.report()

    async def _decide_in_turn(self, gate: Gate, tokens: int, least_tokens: int | None) -> Admission:
        begin, loop = self._clock.monotonic(), asyncio.get_running_loop()
        patience, called = loop.time() + _RECALL_SECONDS, False
        fewest = tokens if least_tokens is None else least_tokens
        while True:
            async with self.turn:
                taken = gate.take(tokens)
                if taken is not None:
                    return taken
                asked = self._clock.monotonic()
                # What was refused to another while this one waited is refused to this one.
                if gate.refusal is not None and gate.refusal[0] > begin and gate.refusal[1] <= fewest:
                    raise self._refused(gate, gate.refusal[2], fewest)
                answer = await self._ask(gate, tokens, least_tokens)
                if answer.word == "OK":
                    return gate.admitted(answer.number if answer.number >= 0 else tokens)
                if answer.word != "WAIT" or loop.time() > patience:
                    gate.refusal = (asked, fewest, answer)
                    raise self._refused(gate, answer, fewest)
            if not called:
                called = True
                await self._script.recall(self.tag)
            # Others give back what they hold.
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _ask(self, gate: Gate, tokens: int, least_tokens: int | None, calls: int = 1) -> Answer:
        bases: Mapping[Counter, int] = {}
        for _ in range(_TRIES):
            lines = [
                self._wanted(limit, counter, tokens, least_tokens is not None, bases.get(counter, -1), calls)
                for limit, counter in zip(gate.limits, gate.counters, strict=True)
            ]
            answer = await self._exchange(lines, least_tokens or 0, deciding=True)
            if answer.word == "MISSING":
                bases = await self._rebuild(lines, answer)
            elif answer.word not in {"STALE", "OLD"}:
                return answer
        raise UnavailableError("limits: the counters change faster than they can be asked")

    def _refused(self, gate: Gate, answer: Answer, tokens: int) -> LimitExceededError:
        states, at = gate.states(), answer.number - 1
        limit, wait = gate.limits[at], answer.lines[at].wait
        self._figures.refuse(limit.scope.value, limit.unit.value)
        asked = tokens if limit.unit is Unit.TOKENS else 1
        return LimitExceededError(states[at], states, asked, None if wait < 0 else wait / 1000)

    def _wanted(self, limit: Limit, counter: Counter, tokens: int, flexible: bool, base: int, calls: int) -> Told:
        """A line that asks for one call's units, and gives back what is free: Valkey decides about the whole."""
        now = self._clock.monotonic()
        left = counter.enter(int(now * 1000 + self._ahead_ms))
        if left is not None:
            left.free = 0
            self.keep(left, counter)
        cost = tokens if limit.unit is Unit.TOKENS else calls
        if calls:
            counter.asked(cost, now)
        counter.look(now)
        share = counter.share
        share.free = 0
        self.keep(share, counter)
        flexible = flexible and limit.unit is Unit.TOKENS
        return Told(counter, share, limit, cost, flexible, counter.ahead(now), base)

    def _due(self, share: Share, counter: Counter, now: float) -> Told | None:
        """The line of a report, where there is something to tell."""
        wish = 0
        if share is counter.share:
            counter.look(now)
            wish = counter.ahead(now)
        # Where little is left it is held by nobody ahead of need.
        fair = share.remaining(counter.limit.capacity) // FAIR_PART
        if share.free > min(wish * 2, fair) or now >= share.good_until:
            share.free = min(share.free, wish, fair) if now < share.good_until else 0
        # Where there was less than the wish it is not asked for at each look.
        if counter.is_flowing and share.charged > share.told[0] and share.is_half_empty(counter.limit.capacity):
            # It flows back from when Valkey hears of it.
            return Told(counter, share, counter.limit, 0, False, max(0, wish - share.free), -1)
        is_enough = share.free >= wish // 2 or (share.is_short and now - share.told_time < RENEW_SECONDS)
        if is_enough and not share.needs_telling(now) and not _wakes(share, counter):
            return None
        return Told(counter, share, counter.limit, 0, False, max(0, wish - share.free), -1)

    async def _exchange(self, lines: Sequence[Told], fewest: int = 0, *, deciding: bool = False) -> Answer:
        request = self.request(lines, fewest, deciding=deciding)
        before = self._clock.monotonic()
        return self.learn(lines, await self._script.decide(*request), before)

    def request(self, lines: Sequence[Told], fewest: int = 0, *, deciding: bool = False) -> Request:
        """Keys and arguments that say this; for whoever has the turn."""
        head = (self._process, next(_NUMBERS), self._script.offset_ms, _LIFE_MS, int(deciding), fewest, _BOOKS_MS)
        keys: list[str] = []
        arguments = [str(value) for value in head]
        for line in lines:
            keys += line.keys(deciding)
            arguments.append(line.argument(deciding))
            # Until it answers, nobody knows whether it has heard.
            line.share.told = UNKNOWN
        return keys, arguments

    def learn(self, lines: Sequence[Told], answer: Answer, before: float) -> Answer:
        """Takes over what was answered to a request that was sent at `before`."""
        if answer.word == "STALE":
            # From the end of the way, so that the next estimate is not ahead of Valkey.
            self._ahead_ms = answer.now - self._clock.monotonic() * 1000
            return answer
        self._ahead_ms = answer.now - before * 1000
        for line, heard in zip(lines, answer.lines, strict=False):
            line.learn(heard, answer, before, self._clock.monotonic())
            if line.counter.share.held:
                # It may be the next window's, which was not there when the request was made.
                self.keep(line.counter.share, line.counter)
        return answer

    async def _rebuild(self, lines: Sequence[Told], answer: Answer) -> Mapping[Counter, int]:
        """What the database says of the counters that Valkey does not know, or not for sure."""
        unknown = [
            line.counter
            for number, (line, heard) in enumerate(zip(lines, answer.lines, strict=True), 1)
            if line.counter.is_calendar and (not heard.is_known or number == answer.number)
        ]
        if self._org_id is None:
            return dict.fromkeys(unknown, 0)
        pause = _SETTLED_SECONDS - await self._script.kept_seconds()
        try:
            if pause > 0 and await self._others_run():
                await asyncio.sleep(pause)
            sums = await self._used_so_far.used(self._org_id, [_wanted_sum(counter) for counter in unknown])
        except DatabaseUnavailableError as error:
            raise UnavailableError(f"limits: the counters cannot be rebuilt: {error}") from error
        self._figures.rebuilt += len(unknown)
        return dict(zip(unknown, sums, strict=True))

    def drop_what_is_told(self) -> None:
        """Forgets shares of which Valkey has heard that they are empty."""
        now = self._clock.monotonic()
        for share in [share for share in self._held if not share.held and not share.needs_telling(now)]:
            share.kept = False
            del self._held[share]
        if not self._held:
            self._active.discard(self)


def _wakes(share: Share, counter: Counter) -> bool:
    """Whether slots are taken of which Valkey would count the rest of a long life, were this process to die."""
    return counter.limit.unit is Unit.CONCURRENCY and share.running > 0 and share.told_life == LIFE_SECONDS


def _wanted_sum(counter: Counter) -> WantedSum:
    start, end, _ = counter.bounds
    limit = counter.limit
    times = [datetime.fromtimestamp(ms / 1000, UTC) for ms in (start, end)]
    return WantedSum(limit.scope, limit.subject, limit.unit, *times)
