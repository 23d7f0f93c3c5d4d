"""One line of a request to Valkey: what is told of a share and asked for it, and what is learnt from the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from server.limits.counters import Counter
from server.limits.limits import Limit, Unit
from server.limits.script import Answer, Line
from server.limits.shares import LIFE_SECONDS, SLICE_PART, SLOT_LIFE_SECONDS, Share

RECALLED_SECONDS: Final = 1.0
"""So long nothing is held ahead of need after others were short of it."""


@dataclass(slots=True)
class Told:
    """A share as it is told, taken down when the line is made: what changes later is told next time."""

    counter: Counter
    share: Share
    limit: Limit
    cost: int
    """Units asked for one call; 0 in a report."""
    flexible: bool
    """Whether fewer tokens will do."""
    wish: int
    """Units asked for ahead of need."""
    base: int
    """What the database says of the window; -1: it was not asked."""
    charged: int = field(init=False)
    running: int = field(init=False)
    free: int = field(init=False)
    life: float = field(init=False)
    """Seconds that Valkey is to count it."""

    def __post_init__(self) -> None:
        self.charged, self.running, self.free = self.share.charged, self.share.running, self.share.free
        taken = self.running + self.cost > 0 and self.counter.limit.unit is Unit.CONCURRENCY
        self.life = SLOT_LIFE_SECONDS if taken else LIFE_SECONDS

    def keys(self, deciding: bool) -> tuple[str, str]:
        """The counter's, and the next window's."""
        return self.share.key, self.counter.next_key if deciding else self.share.key

    def argument(self, deciding: bool) -> str:
        """The script's fields."""
        kind, first, second, third = self.counter.flow(self.limit)
        if kind == "c" and not deciding:
            first, second, third = self.share.start, self.share.end, self.share.end
        held = self.running + self.free
        numbers = (first, second, third, self.limit.capacity, self.cost, int(self.flexible), self.wish)
        told = (self.charged, held, self.free, self.counter.serial, self.base, int(self.life * 1000))
        return " ".join((kind, *map(str, numbers), *map(str, told)))

    def learn(self, heard: Line, answer: Answer, before: float, now: float) -> None:
        """Takes over what the script answered to a request that was sent at `before`."""
        if heard.recall:
            self.counter.recalled_until = now + RECALLED_SECONDS
        if heard.window == 2:
            self._enter_next(heard, answer, before, now)
            return
        if heard.is_known:
            self._note(self.share, heard, answer, before)
        else:
            # It was heard, but the counter has to be rebuilt before anything of it may be used.
            self.share.told = (self.charged, self.running, self.free)
            self.share.told_time, self.share.told_life = before, self.life

    def _enter_next(self, heard: Line, answer: Answer, before: float, now: float) -> None:
        # The share that was told belongs to the window that is over: it was not heard of, and is told again.
        self.counter.enter(answer.now)
        share = self.counter.share
        self.charged = self.running = self.free = 0
        if heard.is_known:
            self._note(share, heard, answer, before)

    def _note(self, share: Share, heard: Line, answer: Answer, before: float) -> None:
        granted = 0
        if answer.word == "OK" and self.cost:
            granted = answer.number if self.flexible and answer.number >= 0 else self.cost
        share.free += heard.extra
        share.told = (self.charged, self.running + granted, self.free + heard.extra)
        share.told_time, share.told_life = before, self.life
        share.is_short = heard.extra < self.wish
        share.others = heard.used - sum(share.told)
        share.reset_time = before + heard.reset / 1000 if heard.reset >= 0 else float("inf")
        share.good_until = before + self.life * SLICE_PART
        if share.end:
            share.good_until = min(share.good_until, before + (share.end - answer.now) / 1000)
