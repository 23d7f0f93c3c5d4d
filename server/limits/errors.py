"""Why a call is not let through."""

from __future__ import annotations

from typing import Final

from server.limits.headers import headers_of
from server.limits.limits import LimitState, Per, Unit
from server.rpc.errors import ApiError, QuotaViolation
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason

_PATIENCE_SECONDS: Final = 120.0
_A: Final = {per: "an" if per is Per.HOUR else "a" for per in Per}


class LimitExceededError(ApiError):
    """A limit is reached; nothing was charged. `UnavailableError` stands for limits that nobody can count just now."""

    reason = ErrorReason.ERROR_REASON_LIMIT_EXCEEDED

    def __init__(
        self, state: LimitState, states: tuple[LimitState, ...], asked: int, retry_after: float | None
    ) -> None:
        """`state` is the limit that refuses, `states` where all of the call's limits stand, `asked` the units that
        were asked of it. `retry_after` is None where it never admits so many."""
        limit = state.limit
        what = "calls at once" if limit.per is None else f"{limit.unit} {_A[limit.per]} {limit.per}"
        text = f"The {limit.scope}'s limit of {limit.allowance:,} {what} is reached"
        if limit.unit is Unit.TOKENS:
            text = f"{text}: {state.remaining:,} are left, and the call needs {asked:,}"
        super().__init__(
            f"{text}.",
            metadata={
                "scope": limit.scope.value,
                "unit": limit.unit.value,
                "window": limit.per.value if limit.per else "",
                "limit": str(limit.allowance),
                "remaining": str(state.remaining),
            },
            quotas=[QuotaViolation(limit.scope.value, f"{limit.allowance} {what}")],
            retry_after=retry_after,
        )
        told = headers_of(states)
        if retry_after is None or retry_after > _PATIENCE_SECONDS:
            # Else OpenAI's clients, who wait no longer, come again at once, twice.
            told.append(("x-should-retry", "false"))
        self.trailing_metadata = told
        self.state = state
        self.states = states
        self.asked = asked
