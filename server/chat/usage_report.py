"""What a provider says a call used, normalised to five disjoint classes.

OpenAI's `prompt_tokens` includes what the cache served and `completion_tokens` includes reasoning. Two known
deviations are read as they are meant: `prompt_cache_hit_tokens` beside `prompt_tokens` (DeepSeek), and reasoning that
stands beside `completion_tokens`, which shows in `total_tokens` (xAI).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from server.models.prices import TokenCounts

_MAX_TOKENS: Final = 2**53
_MAX_RAW_BYTES: Final = 16 * 1024


class UnusableUsageError(ValueError):
    """The usage says nothing that could be billed: text, fractions, negative or missing counts."""


def read_usage(raw: bytes) -> TokenCounts:
    """The tokens of OpenAI's `usage` object. Raises `UnusableUsageError`; zero stays zero."""
    try:
        usage = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UnusableUsageError(str(error)) from error
    if not isinstance(usage, dict):
        raise UnusableUsageError("no object")
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None or completion is None:
        raise UnusableUsageError("no counts")
    details = _object(usage, "prompt_tokens_details")
    cached = _count(details, "cached_tokens")
    if cached is None:
        cached = _count(usage, "prompt_cache_hit_tokens") or 0
    cached = min(cached, prompt)
    written = min(_count(details, "cache_write_tokens") or 0, prompt - cached)
    reasoning = _count(_object(usage, "completion_tokens_details"), "reasoning_tokens") or 0
    if reasoning and _count(usage, "total_tokens") == prompt + completion + reasoning:
        completion += reasoning
    reasoning = min(reasoning, completion)
    return TokenCounts(
        input=prompt - cached - written,
        cache_read=cached,
        cache_write=written,
        output=completion - reasoning,
        reasoning=reasoning,
    )


def keepable(raw: bytes | None) -> bytes | None:
    """The raw object where it is small enough to be stored beside the event."""
    return raw if raw is not None and len(raw) <= _MAX_RAW_BYTES else None


def _object(holder: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnusableUsageError(f"{key} is no object")
    return value


def _count(holder: Mapping[str, object], key: str) -> int | None:
    value = holder.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_TOKENS:
        raise UnusableUsageError(f"{key} is no count")
    return value
