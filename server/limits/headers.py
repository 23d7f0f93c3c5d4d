"""Limits as headers of an answer: OpenAI's own, and those of the IETF draft on rate limit headers (RateLimit fields).

Each unit's tightest limit is told. Both sets say the same; clients read one or the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from server.limits.limits import Limit, LimitState, Per, Unit
from server.limits.naming import name_of

TOLD: Final = (Unit.REQUESTS, Unit.TOKENS)
_SECONDS: Final = {Per.SECOND: 1, Per.MINUTE: 60, Per.HOUR: 3600, Per.DAY: 86_400}
"""Of a window; a month has no fixed length, so none is told."""
_NEVER: Final = float("inf")


def headers_of(states: Sequence[LimitState]) -> list[tuple[str, str | bytes]]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, `ratelimit` and `ratelimit-policy`; none without limits
    on requests or tokens."""
    told = [state for unit in TOLD if (state := tightest(states, unit)) is not None]
    return written([(words_of(state.limit), state.remaining, state.reset_after) for state in told])


class Words(NamedTuple):
    """What the headers say of a limit whatever is left of it."""

    limit: tuple[str, str]
    remaining: str
    reset: str
    policy: str
    name: str


def words_of(limit: Limit) -> Words:
    """The words of one limit, which can be kept as long as it."""
    unit = limit.unit.value
    return Words(
        limit=(f"x-ratelimit-limit-{unit}", str(limit.allowance)),
        remaining=f"x-ratelimit-remaining-{unit}",
        reset=f"x-ratelimit-reset-{unit}",
        policy=_policy(limit),
        name=f'"{name_of(limit)}"',
    )


def written(told: Sequence[tuple[Words, int, float]]) -> list[tuple[str, str | bytes]]:
    """The headers that say of each limit how much remains and after how many seconds all of it is free again."""
    found: list[tuple[str, str | bytes]] = []
    for words, remaining, reset_after in told:
        found += (words.limit, (words.remaining, str(remaining)))
        if reset_after < _NEVER:
            found.append((words.reset, duration(reset_after)))
    if told:
        found.append(("ratelimit-policy", ", ".join([words.policy for words, _, _ in told])))
        found.append(("ratelimit", ", ".join([_standing(*row) for row in told])))
    return found


def tightest(states: Iterable[LimitState], unit: Unit) -> LimitState | None:
    """The limit of the unit of which the smallest part remains, of two such the one that heals later; None without."""
    return min((state for state in states if state.limit.unit is unit), key=_tightness, default=None)


def duration(seconds: float) -> str:
    """As OpenAI writes spans: "12ms", "1.5s", "6m0s", "2h0m0s"."""
    milliseconds = max(0, round(seconds * 1000))
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    if not minutes:
        return f"{rest / 1000:g}s"
    hours, minutes = divmod(minutes, 60)
    whole = f"{minutes}m{rest // 1000}s"
    return f"{hours}h{whole}" if hours else whole


def _policy(limit: Limit) -> str:
    span = _SECONDS.get(limit.per) if limit.per is not None else None
    window = "" if span is None else f";w={span}"
    return f'"{name_of(limit)}";q={limit.allowance}{window}'


def _standing(words: Words, remaining: int, reset_after: float) -> str:
    left = f"{words.name};r={remaining}"
    # Whole seconds: a client that waits as long as it is told must not come too early.
    return left if reset_after >= _NEVER else f"{left};t={math.ceil(reset_after)}"


def _tightness(state: LimitState) -> tuple[float, float]:
    return state.share, -state.reset_after
