"""What tokens cost: five disjoint classes, integers, one rounding."""

from __future__ import annotations

from typing import Final

import msgspec

PER: Final = 1_000_000
"""Tokens that a price is for."""


class TokenCounts(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one call in five classes that do not overlap."""

    input: int = 0
    """Fresh input."""
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    """Output that is no reasoning."""
    reasoning: int = 0

    @property
    def total(self) -> int:
        """All classes together."""
        return self.input + self.cache_read + self.cache_write + self.output + self.reasoning

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )


class Price(msgspec.Struct, frozen=True, gc=False):
    """Nano-dollars per million tokens of each class, as an organization pays them."""

    version: int
    """Number of the row of list or agreed prices."""
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    markup_version: int | None = None
    """Number of the markup's row that is already in the prices; None: none."""

    @property
    def dearest_input(self) -> int:
        """The highest price that a token of a prompt can have."""
        return max(self.input, self.cache_read, self.cache_write)

    @property
    def dearest_output(self) -> int:
        """The highest price that a token of an answer can have."""
        return max(self.output, self.reasoning)


def cost(price: Price, tokens: TokenCounts) -> int:
    """Nano-dollars of a call, rounded once, half up."""
    exact = (
        tokens.input * price.input
        + tokens.cache_read * price.cache_read
        + tokens.cache_write * price.cache_write
        + tokens.output * price.output
        + tokens.reasoning * price.reasoning
    )
    return (exact + PER // 2) // PER


def worst_case(price: Price, input_tokens: int, output_tokens: int) -> int:
    """Nano-dollars that no call within these bounds can pass: every token in its dearest class, rounded up."""
    exact = input_tokens * price.dearest_input + output_tokens * price.dearest_output
    return -(-exact // PER)


def marked_up(price: Price, parts_per_million: int, markup_version: int) -> Price:
    """The price with a markup, each class rounded half up to the nano-dollar per million tokens."""

    def raised(nano: int) -> int:
        return (nano * (PER + parts_per_million) + PER // 2) // PER

    return Price(
        price.version,
        raised(price.input),
        raised(price.cache_read),
        raised(price.cache_write),
        raised(price.output),
        raised(price.reasoning),
        markup_version,
    )
