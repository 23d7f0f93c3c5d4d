"""What operators see of chat calls."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from server.foundation.counting import counting
from server.models.prices import TokenCounts

_ENDED: Final = Counter("tollbridge_chat_calls", "Admitted chat calls, by how they ended.", ["ending"])
_TOKENS: Final = Counter("tollbridge_chat_tokens", "Tokens billed, by class.", ["token_class"])
_SETTLE_FAILURES: Final = Counter(
    "tollbridge_chat_settle_failures", "Tries to settle a call that failed; each is tried again."
)
_EXCESSES: Final = Counter("tollbridge_chat_excesses", "Calls whose provider reported more than was held for them.")
_EXCESS_NANO: Final = Counter("tollbridge_chat_excess_nanodollars", "Nano-dollars reported beyond what was held.")
_CLASSES: Final = ("input", "cache_read", "cache_write", "output", "reasoning")
_of_ending: dict[str, Counter] = {}
_of_class: dict[str, Counter] = {}


def count_call(ending: str, tokens: TokenCounts) -> None:
    """One admitted call that ended."""
    counting.add(_child(_ENDED, _of_ending, ending))
    for name in _CLASSES:
        amount = getattr(tokens, name)
        if amount:
            counting.add(_child(_TOKENS, _of_class, name), amount)


def count_settle_failure() -> None:
    """One try to settle that failed."""
    _SETTLE_FAILURES.inc()


def count_excess(nano: int) -> None:
    """One call whose provider reported `nano` nano-dollars more than was held for it."""
    _EXCESSES.inc()
    _EXCESS_NANO.inc(nano)


def _child(counter: Counter, known: dict[str, Counter], label: str) -> Counter:
    child = known.get(label)
    if child is None:
        child = known[label] = counter.labels(label)
    return child
