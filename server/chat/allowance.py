"""Limits before the call: calls and tokens that it may use are taken, and what it did not use is given back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from server.chat.prompt import Prompt
from server.chat.worst_case import WorstCase
from server.limits.errors import LimitExceededError
from server.limits.gate import Admission, Gate
from server.limits.limits import Unit


class Allowance(msgspec.Struct, frozen=True):
    """What limits let one call use."""

    worst: WorstCase
    """The call within the limits: its longest answer may be shorter than without them."""
    admission: Admission
    clamped: bool
    """Whether the limits made the answer shorter."""


Count = Callable[[], Awaitable[int]]
"""The prompt's exact bound in tokens."""


async def take(gate: Gate, prompt: Prompt, worst: WorstCase, count: Count) -> Allowance:
    """Takes a call and its tokens at their most; where limits on tokens bind, those of a shorter answer.

    Raises `LimitExceededError`, which has taken nothing, and `UnavailableError` where nobody can count.
    """
    wanted = worst.tokens(prompt.byte_bound, worst.longest_answer)
    admission = gate.take(wanted)
    if admission is None:
        try:
            admission = await gate.admit(wanted, worst.tokens(prompt.byte_bound, worst.least_answer))
        except LimitExceededError as refusal:
            return await _take_counted(gate, prompt, worst, count, refusal)
    if admission.tokens >= wanted:
        return Allowance(worst, admission, clamped=False)
    return _within(admission, await _counted(admission, count), worst)


async def _take_counted(
    gate: Gate, prompt: Prompt, worst: WorstCase, count: Count, refusal: LimitExceededError
) -> Allowance:
    """The same by the prompt's exact bound, which may be a fraction of its bytes."""
    if refusal.state.limit.unit is not Unit.TOKENS:
        raise refusal
    bound = await count()
    if bound >= prompt.byte_bound:
        raise refusal
    wanted = worst.tokens(bound, worst.longest_answer)
    admission = await gate.admit(wanted, worst.tokens(bound, worst.least_answer))
    return _within(admission, bound, worst)


async def _counted(admission: Admission, count: Count) -> int:
    try:
        return await count()
    except BaseException:
        admission.cancel()
        raise


def _within(admission: Admission, bound: int, worst: WorstCase) -> Allowance:
    answer = worst.answer_within(bound, admission.tokens)
    return Allowance(worst.shortened(answer), admission, clamped=answer < worst.longest_answer)
