"""Limits that belong together: one decision about all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from server.limits.counters import Counter
from server.limits.headers import TOLD, Words, words_of, written
from server.limits.limits import Limit, LimitState, Unit
from server.limits.metrics import Figures
from server.limits.script import Answer, Script
from server.limits.shares import Share

if TYPE_CHECKING:
    from server.limits.group import Group

# What becomes of a unit: a request that flows back is used at once, one of a calendar's window when its call ends (it
# is in no record before), tokens when they are settled, a slot never.
_FLOWING: Final = 0
_REQUEST: Final = 1
_TOKENS: Final = 2
_SLOT: Final = 3


class Gate:
    """The limits of a kind of call. Cheap to keep, and to be kept: with the key and the plan that it stands for."""

    __slots__ = ("_figures", "_group", "_monotonic", "_plan", "_script", "_told", "counters", "limits", "refusal")

    def __init__(
        self,
        group: Group,
        limits: Sequence[Limit],
        counters: Sequence[Counter],
        monotonic: Callable[[], float],
        script: Script,
        figures: Figures,
    ) -> None:
        self.limits = tuple(limits)
        self.counters = tuple(counters)
        self.refusal: tuple[float, int, Answer] | None = None
        """The last one: when it was asked for, for how many tokens, and what was said."""
        self._group = group
        self._monotonic = monotonic
        self._script = script
        self._figures = figures
        pairs = tuple(zip(self.limits, self.counters, strict=True))
        self._told = tuple(
            tuple((counter, limit.capacity, words_of(limit)) for limit, counter in pairs if limit.unit is unit)
            for unit in TOLD
        )
        self._plan = tuple((counter, _kind(counter)) for counter in counters)

    def take(self, tokens: int = 0) -> Admission | None:
        """Admits a call of at most `tokens` at once, from what this process holds; None where `admit` must be asked.

        Never refuses: None may mean either.
        """
        now = self._monotonic()
        if now >= self._script.good_until:
            return None
        for counter, kind in self._plan:
            share = counter.share
            if share.free < (tokens if kind == _TOKENS else 1) or now >= share.good_until:
                return None
        shares = []
        for counter, kind in self._plan:
            share = counter.share
            cost = tokens if kind == _TOKENS else 1
            share.free -= cost
            share.taken += cost
            if kind == _FLOWING:
                share.charged += 1
            else:
                share.running += cost
            shares.append(share)
        self._figures.in_memory += 1
        return Admission(self, shares, tokens)

    async def admit(self, tokens: int = 0, least_tokens: int | None = None) -> Admission:
        """Admits a call of at most `tokens`; where limits on tokens bind and `least_tokens` is given, of as many as are
        left, but not fewer than that: `tokens` of the admission says how many.

        Raises `LimitExceededError`, then nothing was charged, and `UnavailableError` within a second.
        """
        return self.take(tokens) or await self._group.decide(self, tokens, least_tokens)

    async def look(self) -> tuple[LimitState, ...]:
        """Where the limits stand over all processes, in their order. Charges nothing.

        Raises `UnavailableError` within a second.
        """
        await self._group.look(self)
        return self.states()

    def admitted(self, tokens: int) -> Admission:
        """The admission of a call that Valkey charged."""
        shares = []
        for counter, kind in self._plan:
            share = counter.share
            cost = tokens if kind == _TOKENS else 1
            share.taken += cost
            if kind == _FLOWING:
                share.charged += 1
            else:
                share.running += cost
            shares.append(share)
        self._figures.in_valkey += 1
        return Admission(self, shares, tokens)

    def states(self) -> tuple[LimitState, ...]:
        """Where the limits stand, in their order."""
        now = self._monotonic()
        return tuple(
            LimitState(limit, counter.share.remaining(limit.capacity), max(0.0, counter.share.reset_time - now))
            for limit, counter in zip(self.limits, self.counters, strict=True)
        )

    def headers(self) -> list[tuple[str, str | bytes]]:
        """As `headers_of` says it of the states, without making them: it is on the way of every call."""
        now = self._monotonic()
        told: list[tuple[Words, int, float]] = []
        for limits in self._told:
            least, latest, tightest = 2.0, 0.0, None
            for counter, capacity, words in limits:
                share = counter.share
                remaining = share.remaining(capacity)
                part, reset = remaining / capacity if capacity else 0.0, share.reset_time - now
                if part < least or (part == least and reset > latest):
                    least, latest, tightest = part, reset, (words, remaining, max(0.0, reset))
            if tightest is not None:
                told.append(tightest)
        return written(told)

    def give_back(self, shares: Sequence[Share], tokens: int, used: int) -> None:
        """Of the `tokens` charged, `used` were used: the rest is free again."""
        now = self._monotonic()
        for share, (counter, kind) in zip(shares, self._plan, strict=True):
            if kind == _TOKENS:
                share.running -= tokens
                share.charged += used
                _free(share, counter, tokens - used, now)
                self._group.keep(share, counter)

    def leave(self, shares: Sequence[Share], *, counts: bool) -> None:
        """A call is over: its slots are free again, and so is its request where it does not count after all."""
        now = self._monotonic()
        for share, (counter, kind) in zip(shares, self._plan, strict=True):
            if kind not in {_REQUEST, _SLOT}:
                continue
            share.running -= 1
            if kind == _REQUEST and counts:
                share.charged += 1
            else:
                _free(share, counter, 1, now)
            self._group.keep(share, counter)


class Admission:
    """A call that was let through. `settle` and `release` wait for nothing; each counts once."""

    __slots__ = ("_gate", "_open", "_shares", "tokens")

    def __init__(self, gate: Gate, shares: Sequence[Share], tokens: int) -> None:
        self._gate = gate
        self._shares = shares
        self._open: int | None = tokens
        """Tokens that are charged and not settled; None: settled."""
        self.tokens = tokens
        """The most that the call may use: what was charged."""

    def settle(self, tokens: int) -> None:
        """The call used so many tokens, more or fewer than were charged."""
        if self._open is not None:
            charged, self._open = self._open, None
            self._gate.give_back(self._shares, charged, tokens)

    def release(self) -> None:
        """The call is over: frees its slots. What was never settled stays charged."""
        self._leave(counts=True)

    def cancel(self) -> None:
        """There was no call after all: gives everything back, but requests of a second or minute, which flow back."""
        if self._shares:
            self.settle(0)
        self._leave(counts=False)

    def _leave(self, *, counts: bool) -> None:
        if self._shares:
            if self._open is not None:
                self.settle(self._open)
            shares, self._shares = self._shares, ()
            self._gate.leave(shares, counts=counts)

    def states(self) -> tuple[LimitState, ...]:
        """Where the call's limits stand, in the gate's order."""
        return self._gate.states()

    def headers(self) -> list[tuple[str, str | bytes]]:
        """What an answer says of them."""
        return self._gate.headers()

    def tightest(self, unit: Unit) -> LimitState | None:
        """The limit of this unit of which the smallest part remains; None where there is none."""
        return min((state for state in self.states() if state.limit.unit is unit), key=_part, default=None)

    def __del__(self) -> None:
        # Whoever forgot it is gone: its slots must not be.
        self.release()


def _free(share: Share, counter: Counter, units: int, now: float) -> None:
    # What is not held is free for everybody, as it has to be past its time and after a recall.
    if units > 0 and now < share.good_until and now >= counter.recalled_until:
        share.free += units


def _part(state: LimitState) -> float:
    return state.share


def _kind(counter: Counter) -> int:
    if counter.limit.unit is Unit.REQUESTS:
        return _REQUEST if counter.is_calendar else _FLOWING
    return _TOKENS if counter.limit.unit is Unit.TOKENS else _SLOT
