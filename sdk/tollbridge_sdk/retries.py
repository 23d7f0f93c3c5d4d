"""Which failed calls are made again: a gRPC service config, carried out by the channel itself (gRFC A6)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tollbridge_sdk.methods import Idempotency, Method

_MOST_ATTEMPTS: Final = 5
"""gRPC itself makes no more, whatever is asked for."""
_SHORTEST_WAIT: Final = 0.01
"""Seconds. With a wait of 1 ms, gRPC lets half of the calls hang until their deadline (grpc/grpc 41036)."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How calls are repeated that ended with UNAVAILABLE before their answer began.

    Methods that read are repeated, and with `keyed` those whose calls carry an idempotency key by themselves: all
    changes and whole chat answers, not streams. Raises ValueError where a value is outside its range.
    """

    attempts: int = 4
    """Attempts in all, 1 to 5; 1 repeats nothing."""
    first_wait: float = 0.1
    """Seconds before the second attempt, a fifth more or less by chance; at least 0.01."""
    longest_wait: float = 5.0
    """Seconds that a wait grows to, by a factor of 2 each time."""
    keyed: bool = True
    """Whether to repeat changes too. The server carries each out once, however often it is asked. To be switched off
    before servers that do not remember keys: those would carry a change out twice whose answer was lost."""
    budget: int = 10
    """Failures in a row after which nothing is repeated any more, 2 to 1,000. Each success gives a tenth back, and
    repeats go on above half of it, so that a server in trouble is not called four times as often."""

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= _MOST_ATTEMPTS:
            raise ValueError(f"attempts must be 1 to {_MOST_ATTEMPTS}, not {self.attempts}")
        if not _SHORTEST_WAIT <= self.first_wait <= self.longest_wait:
            raise ValueError(f"first_wait must be at least {_SHORTEST_WAIT} and at most longest_wait")
        if not 2 <= self.budget <= 1000:
            raise ValueError(f"budget must be 2 to 1000, not {self.budget}")


def service_config(methods: Iterable[Method], retries: Retries) -> str:
    """The channel's service config as JSON: retry policy, throttling, and turns over all addresses of a name."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    names = [{"service": method.service, "method": method.name} for method in methods if _repeated(method, retries)]
    if retries.attempts > 1 and names:
        config["methodConfig"] = [{"name": names, "retryPolicy": _policy(retries)}]
        config["retryThrottling"] = {"maxTokens": retries.budget, "tokenRatio": 0.1}
    return json.dumps(config)


def _repeated(method: Method, retries: Retries) -> bool:
    return method.idempotency is Idempotency.SAFE or (retries.keyed and method.keyed_by_itself)


def _policy(retries: Retries) -> dict[str, Any]:
    return {
        "maxAttempts": retries.attempts,
        "initialBackoff": f"{retries.first_wait:.3f}s",
        "maxBackoff": f"{retries.longest_wait:.3f}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
