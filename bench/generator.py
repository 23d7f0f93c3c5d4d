"""Runs a load generator and reads other processes' CPU time at the very ends of its measured time.

A generator is a program that prints, one JSON object a line, {"phase":"begin"}, {"phase":"end"} and its result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.child import ProgramFailed, read_line, running, tail
from bench.native import program


@dataclass(frozen=True, slots=True)
class Load:
    """A generator's result. Latencies in microseconds."""

    connections: int
    seconds: float
    requests: int
    errors: int
    reconnects: int
    requests_per_second: float
    events: int
    events_per_second: float
    body_bytes: int
    latency_p50: float
    latency_p99: float
    latency_max: float
    first_event_p50: float
    first_event_p99: float
    turned_away: int = 0
    """Requests that were answered 503, where they were sent at a rate."""
    unsent: int = 0
    """Requests that came due while every connection waited for an answer."""
    refusal_p50: float = 0.0
    refusal_p99: float = 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run: the load, and the CPU seconds that each group of watched processes took meanwhile."""

    load: Load
    cpu_seconds: Mapping[str, float]
    megabytes: Mapping[str, float] = field(default_factory=dict)
    """Resident memory of the largest process of each group at the end of the measured time."""

    def microseconds_per_request(self, *groups: str) -> float | None:
        """CPU time of the groups over finished requests; None where nothing of them was watched or nothing finished."""
        return self._share(self.load.requests, groups)

    def microseconds_per_event(self, *groups: str) -> float | None:
        """CPU time of the groups over streamed events; None as above."""
        return self._share(self.load.events, groups)

    def _share(self, count: int, groups: Sequence[str]) -> float | None:
        watched = [self.cpu_seconds[name] for name in groups if name in self.cpu_seconds]
        return sum(watched) * 1e6 / count if watched and count else None

    def to_json(self) -> dict[str, object]:
        """Plain values for the JSON file."""
        return {"load": asdict(self.load), "cpu_seconds": dict(self.cpu_seconds), "megabytes": dict(self.megabytes)}


def http_load(
    port: int,
    *,
    keys: Path,
    bodies: Path | None = None,
    path: str = "/v1/chat/completions",
    connections: int,
    warm_up: float,
    seconds: float,
    rate: float | None = None,
    headers: Sequence[str] = (),
) -> list[str]:
    """The command of the HTTP generator; without bodies it sends GET. `rate` is requests a second, come what may;
    None: each connection sends as soon as it has its answer. `headers` are further lines of every
    request. Raises CompilerError."""
    command = [str(program("load")), "--port", str(port), "--path", path, "--keys", str(keys)]
    command += ["--connections", str(connections), "--warm-up", str(warm_up), "--seconds", str(seconds)]
    command += ["--parent", str(os.getpid())]
    if rate is not None:
        command += ["--rate", f"{rate:.1f}"]
    for header in headers:
        command += ["--header", header]
    return command if bodies is None else [*command, "--bodies", str(bodies)]


def measure(
    command: Sequence[str],
    *,
    core: int,
    log: Path,
    read_cpu: Callable[[], Mapping[str, float]],
    read_memory: Callable[[], Mapping[str, float]] = dict,
) -> Measurement:
    """Runs a generator to its end. Raises ProgramFailed where it saw an error or ended early."""
    with log.open("wb") as errors, running(command, core=core, log=errors) as process:
        _expect("begin", read_line(process, log))
        before = read_cpu()
        _expect("end", read_line(process, log))
        after, megabytes = read_cpu(), read_memory()
        load = Load(**json.loads(read_line(process, log)))
        if process.wait() != 0:
            raise ProgramFailed(f"{load.errors} bad answers\n{tail(log)}")
    return Measurement(load, {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}, megabytes)


def _expect(phase: str, line: bytes) -> None:
    if json.loads(line).get("phase") != phase:
        raise ProgramFailed(f"the generator said {line!r} instead of beginning or ending its measured time")
