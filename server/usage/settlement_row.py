"""A provider's figures and texts as columns can hold them."""

from __future__ import annotations

from typing import Final

from server.models.prices import TokenCounts

MAX_INT: Final = 2**31 - 1
MAX_COST: Final = 2**53
_MAX_TOKENS: Final = 2**40
_MAX_RAW_USAGE_BYTES: Final = 16_384
_MAX_TEXT: Final = 200


def bounded(tokens: TokenCounts) -> TokenCounts:
    """The counts, where a provider's numbers are absurd cut to what the columns and sums can hold."""
    if tokens.total <= _MAX_TOKENS:
        return tokens
    return TokenCounts(
        min(tokens.input, _MAX_TOKENS),
        min(tokens.cache_read, _MAX_TOKENS),
        min(tokens.cache_write, _MAX_TOKENS),
        min(tokens.output, _MAX_TOKENS),
        min(tokens.reasoning, _MAX_TOKENS),
    )


def clean(text: str) -> str:
    """A provider's text as a column can hold it: no NUL, no lone surrogate, at most 200 characters."""
    if text.isascii() and text.isprintable():
        return text[:_MAX_TEXT]
    return text.encode("utf-8", "replace").decode().replace("\x00", "")[:_MAX_TEXT]


def storable(raw_usage: bytes | None) -> str | None:
    """The provider's usage as text, or None where there is none or too much of it."""
    kept = fitting(raw_usage)
    return None if kept is None else kept.decode("utf-8", "replace")


def fitting(raw_usage: bytes | None) -> bytes | None:
    """The provider's usage, or None where there is none or too much of it."""
    return None if raw_usage is None or len(raw_usage) > _MAX_RAW_USAGE_BYTES else raw_usage
