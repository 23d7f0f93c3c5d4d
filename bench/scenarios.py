"""What is sent: kinds of traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.workload import MODEL

PACED: Final = "paced=5000"
"""One event per stream every 5 ms, about as fast as providers stream."""
BURST: Final = "burst"
SLOW: Final = "paced=1000000"
"""One event a second, for many streams that are open and do little."""
PACES: Final = (PACED, BURST, SLOW)
MODELS: Final = {PACED: MODEL, BURST: f"{MODEL}-burst", SLOW: f"{MODEL}-slow"}
"""The names under which a gateway's configuration has each pace of the double."""

REFERENCE_REQUEST: Final = 84.0
REFERENCE_CHUNK: Final = 11.4
"""What the bare proxy took on the idle machine that the goals were set for, in CPU microseconds a unary request and a
chunk. On another machine, or a busy one, a goal over its reference is the fairer measure."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of traffic."""

    name: str
    title: str
    connections: int
    tokens: int = 0
    """Most tokens of an answer; 0: GET /v1/models instead of chat."""
    stream: bool = False
    pace: str = PACED
    grpc: bool = False
    """Typed streams over gRPC, which only Tollbridge serves."""
    usual: bool = True
    """Part of a run that names no scenario."""
    warm_up: float | None = None
    """Seconds before the measured time, where the plan's do not suffice."""


UNARY_1: Final = Scenario("unary-1", "chat, 1 connection", 1, tokens=20)
UNARY_64: Final = Scenario("unary-64", "chat, 64 connections", 64, tokens=20)
STREAM_64: Final = Scenario("stream-64", "64 streams, 100 tokens, 5 ms apart", 64, tokens=100, stream=True)
LONG_64: Final = Scenario("long-64", "64 streams, 1,000 tokens, 5 ms apart", 64, tokens=1000, stream=True)
GRPC_64: Final = Scenario("grpc-64", "64 gRPC streams, 100 tokens, 5 ms apart", 64, tokens=100, stream=True, grpc=True)
OPEN_1000: Final = Scenario(
    "open-1000", "1,000 streams, a token a second", 1000, tokens=100, stream=True, pace=SLOW, warm_up=6.0
)

SCENARIOS: Final = (
    OPEN_1000,
    UNARY_1,
    UNARY_64,
    STREAM_64,
    LONG_64,
    GRPC_64,
    Scenario("stream-256", "256 streams, 100 tokens, 5 ms apart", 256, tokens=100, stream=True, usual=False),
    Scenario("burst-8", "8 streams, 100 tokens, back to back", 8, tokens=100, stream=True, pace=BURST, usual=False),
    Scenario("models-64", "GET /v1/models, 64 connections", 64, usual=False),
)
"""In the order in which they run: open streams first, while nothing else has grown the processes."""


def chosen(names: list[str]) -> list[Scenario]:
    """The scenarios of these names, the usual ones where none is given. Raises KeyError with the first unknown name."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    return [known[name] for name in names] if names else [scenario for scenario in SCENARIOS if scenario.usual]
