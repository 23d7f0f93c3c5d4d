"""What is measured: kinds of traffic, and the figures that each is held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.workload import MODEL

PACED: Final = "paced=5000"
"""One event per stream every 5 ms, about as fast as providers stream."""
BURST: Final = "burst"
BURST_MODEL: Final = f"{MODEL}-burst"
"""The name under which Tollbridge's configuration has the bursting double."""

REFERENCE_REQUEST: Final = 84.0
REFERENCE_CHUNK: Final = 11.4
"""What the bare proxy took on the idle machine that the goals were set for, in CPU microseconds a unary request and a
chunk. On another machine, or a busy one, a goal over its reference is the fairer measure."""

GOAL_WORKER_MEGABYTES: Final = 250.0
GOAL_SUPERVISOR_MEGABYTES: Final = 50.0


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
    goal_request: float | None = None
    """Most CPU microseconds a request, ledger writes included."""
    goal_chunk: float | None = None
    """Most CPU microseconds a streamed chunk, the request's own cost included."""


SCENARIOS: Final = (
    Scenario("unary-1", "chat, 1 connection", 1, tokens=20),
    Scenario("unary-64", "chat, 64 connections", 64, tokens=20, goal_request=500),
    Scenario("stream-64", "64 streams, 100 tokens, 5 ms apart", 64, tokens=100, stream=True, goal_chunk=18),
    Scenario("stream-256", "256 streams, 100 tokens, 5 ms apart", 256, tokens=100, stream=True, goal_chunk=18),
    Scenario("long-64", "64 streams, 1,000 tokens, 5 ms apart", 64, tokens=1000, stream=True),
    Scenario("burst-8", "8 streams, 100 tokens, back to back", 8, tokens=100, stream=True, pace=BURST),
    Scenario("grpc-64", "64 gRPC streams, 100 tokens, 5 ms apart", 64, tokens=100, stream=True, grpc=True),
    Scenario("models-64", "GET /v1/models, 64 connections", 64),
)


def chosen(names: list[str]) -> list[Scenario]:
    """The scenarios of these names, all where none is given. Raises KeyError with the first unknown name."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    return [known[name] for name in names] if names else list(SCENARIOS)
