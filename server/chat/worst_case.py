"""The most that a call can cost, and the longest answer that a sum of money can buy."""

from __future__ import annotations

from typing import Final

import msgspec

from server.chat.governed_body import GovernedBody
from server.models.catalogue import CallableModel
from server.models.prices import worst_case

_LEAST_ANSWER: Final = 16
_LEAST_REASONED_ANSWER: Final = 1024


class WorstCase(msgspec.Struct, frozen=True):
    """What one request can come to at one model. Tokens and nano-dollars."""

    model: CallableModel
    answers: int
    extra_output: int
    """Tokens that each answer may be charged beyond its limit."""
    longest_answer: int
    """min(asked, the model's maximum, its context)."""
    least_answer: int
    """The shortest limit that is worth a call."""

    @classmethod
    def of(cls, body: GovernedBody, model: CallableModel, extra_output: int) -> WorstCase:
        """The bounds of a request."""
        longest = min(model.max_output_tokens, model.context_tokens)
        if body.max_tokens is not None:
            longest = min(longest, body.max_tokens)
        least = min(longest, _LEAST_REASONED_ANSWER if model.reasoning else _LEAST_ANSWER)
        return cls(model, body.answers, extra_output, longest, least)

    def cost(self, prompt: int, answer: int) -> int:
        """Nano-dollars of a prompt of at most `prompt` tokens and answers of at most `answer` tokens each.

        Prompt and answer share the context, so where both bounds together exceed it, the dearer of the two extremes
        counts: the longest prompt with what it leaves, or the longest answer with what that leaves.
        """
        context = self.model.context_tokens
        prompt = min(prompt, context)
        if prompt + answer <= context:
            return self._priced(prompt, answer)
        return max(self._priced(prompt, context - prompt), self._priced(context - answer, answer))

    def tokens(self, prompt: int, answer: int) -> int:
        """Tokens of a prompt of at most `prompt` and answers of at most `answer` each: what limits are charged."""
        one_more = answer + self.extra_output
        return min(min(prompt, self.model.context_tokens) + one_more * self.answers, self._most_tokens)

    def answer_within(self, prompt: int, tokens: int) -> int:
        """The longest answer that keeps within so many tokens, at most the longest that there is."""
        if tokens >= self._most_tokens:
            return self.longest_answer
        prompt = min(prompt, self.model.context_tokens)
        return min(self.longest_answer, (tokens - prompt) // self.answers - self.extra_output)

    def shortened(self, answer: int) -> WorstCase:
        """The same with no answer longer than this."""
        return msgspec.structs.replace(self, longest_answer=answer, least_answer=min(answer, self.least_answer))

    @property
    def _most_tokens(self) -> int:
        """Prompt and answer share the context, each answer its own."""
        return (self.model.context_tokens + self.extra_output) * self.answers

    def affordable_answer(self, prompt: int, nano: int) -> int:
        """The longest limit whose worst case costs at most `nano`; 0 where not even the prompt is covered."""
        low, high = 0, self.longest_answer
        while low < high:
            middle = (low + high + 1) // 2
            if self.cost(prompt, middle) <= nano:
                low = middle
            else:
                high = middle - 1
        return low

    def _priced(self, prompt: int, answer: int) -> int:
        if self.model.price is None:
            return 0
        return worst_case(self.model.price, prompt, (answer + self.extra_output) * self.answers)
