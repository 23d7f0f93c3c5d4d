"""Limits as headers of an answer: OpenAI's own, and those of the IETF draft on rate limit headers (RateLimit fields).

Each unit's tightest limit is told. Both sets say the same; clients read one or the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from server.limits.limits import LimitState, Per, Unit
from server.limits.naming import name_of

_UNITS: Final = (Unit.REQUESTS, Unit.TOKENS)
_SECONDS: Final = {Per.SECOND: 1, Per.MINUTE: 60, Per.HOUR: 3600, Per.DAY: 86_400}
"""Of a window; a month has no fixed length, so none is told."""
_NEVER: Final = float("inf")


def headers_of(states: Sequence[LimitState]) -> list[tuple[str, str | bytes]]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, `ratelimit` and `ratelimit-policy`; none without limits
    on requests or tokens."""
    told = [state for unit in _UNITS if (state := tightest(states, unit)) is not None]
    found: list[tuple[str, str | bytes]] = []
    for state in told:
        unit = state.limit.unit.value
        found.append((f"x-ratelimit-limit-{unit}", str(state.limit.allowance)))
        found.append((f"x-ratelimit-remaining-{unit}", str(state.remaining)))
        if state.reset_after < _NEVER:
            found.append((f"x-ratelimit-reset-{unit}", duration(state.reset_after)))
    if told:
        found.append(("ratelimit-policy", ", ".join(map(_policy, told))))
        found.append(("ratelimit", ", ".join(map(_standing, told))))
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


def _policy(state: LimitState) -> str:
    limit = state.limit
    span = _SECONDS.get(limit.per) if limit.per is not None else None
    window = "" if span is None else f";w={span}"
    return f'"{name_of(limit)}";q={limit.allowance}{window}'


def _standing(state: LimitState) -> str:
    left = f'"{name_of(state.limit)}";r={state.remaining}'
    # Whole seconds: a client that waits as long as it is told must not come too early.
    return left if state.reset_after >= _NEVER else f"{left};t={math.ceil(state.reset_after)}"


def _tightness(state: LimitState) -> tuple[float, float]:
    return state.share, -state.reset_after
