"""What is known of models by their names: the pinned genai-prices snapshot, and how names tell tokenizers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from server.foundation.money import NANO

_O200K: Final = re.compile(r"(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|chatgpt-4o|o[134])(\b|-|$)")
_CL100K: Final = re.compile(r"(gpt-4|gpt-3\.5)(\b|-|$)")
_REASONING: Final = re.compile(r"(o[134]|gpt-5)(\b|-|$)")


@dataclass(frozen=True, slots=True)
class Known:
    """What the snapshot says of a model. Prices in nano-dollars per million tokens; None: it does not say."""

    context_tokens: int | None
    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None


NOTHING: Final = Known(None, None, None, None, None)


def look_up(model: str, now: datetime) -> Known:
    """What the snapshot knows of the model, or `NOTHING`.

    Prices in tiers (by length of prompt) are left out: a model with such prices must be given its own.
    """
    # Imported here because it takes a second and 100 MB, and only the process that applies the configuration asks.
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    try:
        _, info = get_snapshot().find_provider_model(model, None, None, None)
    except LookupError:
        return NOTHING
    prices = info.get_prices(now)
    plain = [_nano(getattr(prices, f"{name}_mtok", None)) for name in ("input", "cache_read", "cache_write", "output")]
    return Known(info.context_window, *plain)


def tokenizer_of(model: str) -> str | None:
    """The tiktoken encoding that the name tells, or None. A provider's prefix ("openai/…") does not matter."""
    name = model.rpartition("/")[2]
    if _O200K.match(name):
        return "o200k_base"
    return "cl100k_base" if _CL100K.match(name) else None


def is_reasoning(model: str) -> bool:
    """Whether the name tells a model that thinks first, and takes max_completion_tokens."""
    return _REASONING.match(model.rpartition("/")[2]) is not None


def _nano(price: Any) -> int | None:
    """Dollars as nano-dollars, rounded up; None for tiers and for what is missing."""
    if not isinstance(price, Decimal):
        return None
    return int((price * NANO).to_integral_value(ROUND_CEILING))
