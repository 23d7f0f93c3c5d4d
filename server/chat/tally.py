"""What of one call came so far: all that settling it needs to know."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from server.chat.chunk import Chunk, estimate
from server.chat.usage_report import UnusableUsageError, read_usage
from server.models.prices import TokenCounts


class Tally(msgspec.Struct):
    """Counts while the answer comes. Times are monotonic seconds."""

    now: Callable[[], float]
    begin_time: float
    answers: int = 1
    """How many answers were asked for."""
    sent: bool = False
    """Whether the request went onto the wire, so that the provider may charge for it."""
    first_token_time: float | None = None
    output: int = 0
    """Tokens handed over, estimated."""
    reasoning: int = 0
    texts: int = 0
    """Pieces of text handed over: the provider cannot have counted fewer tokens."""
    finishes: int = 0
    """Answers that said why they ended."""
    raw_usage: bytes | None = None
    """The last usage that the provider reported."""
    usage_is_last: bool = False
    """Whether it came after every answer had ended."""
    provider_call_id: str = ""
    answer: bytes = b""
    """A unary answer."""
    done: bool = False
    """Whether the answer came to its end."""

    def mark_sent(self) -> None:
        """The request goes onto the wire."""
        self.sent = True

    def add(self, chunk: Chunk) -> None:
        """Counts one chunk that is about to be handed over."""
        if chunk.id and not self.provider_call_id:
            self.provider_call_id = chunk.id
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self.finishes += 1
            if choice.delta is None:
                continue
            output, reasoning = estimate(choice.delta)
            if output or reasoning:
                self.output += output
                self.reasoning += reasoning
                self.texts += 1
                if self.first_token_time is None:
                    self.first_token_time = self.now()
        usage = chunk.reported_usage
        if usage is not None:
            self.raw_usage = usage
            self.usage_is_last = self.finishes >= self.answers

    def set_answer(self, answer: bytes, call_id: str, raw_usage: bytes | None) -> None:
        """Counts a whole unary answer."""
        self.answer = answer
        self.provider_call_id = call_id
        self.raw_usage = raw_usage
        self.first_token_time = self.now()
        self.done = True

    @property
    def delivered(self) -> bool:
        """Whether any of the answer was handed over."""
        return bool(self.texts or self.answer)

    @property
    def reported(self) -> TokenCounts | None:
        """The provider's last counts, or None where it gave none that can be used."""
        if self.raw_usage is None:
            return None
        try:
            return read_usage(self.raw_usage)
        except UnusableUsageError:
            return None

    @property
    def final(self) -> TokenCounts | None:
        """The provider's counts where they are its last word; what it says on the way does not bill a whole answer."""
        return self.reported if self.done or self.usage_is_last else None
