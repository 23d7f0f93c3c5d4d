"""The figures that Tollbridge is held to: goal, floor, and how a slower machine is allowed for.

Goals were set on an idle machine on which the bare proxy took 84 us of CPU a request and 11.4 us a chunk. On another
machine, or a busy one, a figure is also shown scaled by what the bare proxy took in the same run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from bench.percentiles import percentile
from bench.runner import Report
from bench.scenarios import GRPC_64, LONG_64, OPEN_1000, STREAM_64, UNARY_1, UNARY_64, Scenario
from bench.targets import BASELINE, DIRECT, OWN_GROUPS, TOLLBRIDGE

REFERENCE_REQUEST: Final = 84.0
REFERENCE_CHUNK: Final = 11.4
_SYNC_TRIES: Final = 200
_SYNC_BYTES: Final = 400
"""About what the journal writes for a call."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and what is asked of it."""

    name: str
    value: float
    unit: str
    goal: float
    floor: float
    slowness: float | None = None
    """How many times longer the bare proxy took in this run than where the goal was set; None: not to be scaled."""
    bare: float | None = None
    """The bare proxy's own figure, of which this is a multiple."""
    more_is_better: bool = False

    @property
    def scaled(self) -> float | None:
        """What it would be where the goal was set."""
        if not self.slowness:
            return None
        return self.value * self.slowness if self.more_is_better else self.value / self.slowness

    @property
    def verdict(self) -> str:
        """Of the scaled figure, where there is one: "goal", "floor", or "missed"."""
        judged = self.value if self.scaled is None else self.scaled
        if self._reaches(judged, self.goal):
            return "goal"
        return "floor" if self._reaches(judged, self.floor) else "missed"

    def to_json(self) -> dict[str, object]:
        """Plain values for the JSON file."""
        return {**asdict(self), "scaled": self.scaled, "verdict": self.verdict}

    def _reaches(self, value: float, bound: float) -> bool:
        return value >= bound if self.more_is_better else value <= bound


def call_figures(report: Report, sync_microseconds: float) -> list[Figure]:
    """What a run's traffic says; `sync_microseconds` is what a write to the disk takes, which nobody can save."""
    slow = slowness(report)
    found: list[Figure] = []
    asked = request(report, TOLLBRIDGE)
    if asked:
        bare = request(report, BASELINE)
        found.append(Figure("chat over REST, CPU a request", asked, "us", 90.0, 150.0, slow, bare))
    for scenario, name in ((STREAM_64, "100"), (LONG_64, "1,000")):
        found += _chunk_figure(report, scenario, f"chunk, REST, streams of {name} tokens", (11.0, 14.0), scenario)
    found += _chunk_figure(report, GRPC_64, "chunk, typed gRPC stream", (18.0, 30.0), STREAM_64)
    added = added_p50(report)
    if added:
        # The disk is as fast as it is, on whichever machine.
        name = f"added p50 at 1 connection, without fdatasync ({sync_microseconds:,.0f} us)"
        found.append(Figure(name, added - sync_microseconds, "us", 200.0, 400.0, slow))
    return found + memory_figures(report)


def _chunk_figure(
    report: Report, scenario: Scenario, name: str, asked: tuple[float, float], bare_scenario: Scenario
) -> list[Figure]:
    value, bare = chunk(report, scenario), chunk(report, bare_scenario, BASELINE)
    return [Figure(name, value, "us", *asked, _over(bare, REFERENCE_CHUNK), bare)] if value else []


def memory_figures(report: Report) -> list[Figure]:
    """Memory of a worker with a thousand open streams."""
    result = report.find(OPEN_1000, TOLLBRIDGE)
    worker = result.measurement.megabytes.get("worker") if result else None
    return [Figure("memory of a worker, 1,000 open streams", worker, "MB", 220.0, 300.0)] if worker else []


def slowness(report: Report) -> float | None:
    """How many times longer the bare proxy took a request than where the goals were set; None: it did not run."""
    return _over(request(report, BASELINE), REFERENCE_REQUEST)


def request(report: Report, target: str, scenario: Scenario = UNARY_64) -> float | None:
    """CPU microseconds a request; None where it was not measured."""
    result = report.find(scenario, target)
    return result.measurement.microseconds_per_request(*OWN_GROUPS) if result else None


def chunk(report: Report, scenario: Scenario, target: str = TOLLBRIDGE) -> float | None:
    """CPU microseconds a chunk; None where it was not measured."""
    result = report.find(scenario, target)
    return result.measurement.microseconds_per_event(*OWN_GROUPS) if result else None


def added_p50(report: Report, target: str = TOLLBRIDGE) -> float | None:
    """Microseconds that a caller waits longer at one connection than without the target."""
    result, direct = report.find(UNARY_1, target), report.find(UNARY_1, DIRECT)
    if result is None or direct is None:
        return None
    return result.measurement.load.latency_p50 - direct.measurement.load.latency_p50


def fdatasync_p50(folder: Path) -> float:
    """Microseconds that it takes to bring a call's few bytes to the disk of `folder`."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(_SYNC_TRIES):
            begin = time.perf_counter()
            file.write(bytes(_SYNC_BYTES))
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begin) * 1e6)
    return percentile(took, 50)


def figure_table(figures: Sequence[Figure]) -> Table:
    """Every figure beside its goal and floor."""
    table = Table(title="Figures; where scaled by the bare proxy of this run, that is judged")
    table.add_column("figure", no_wrap=True)
    for heading in ("measured", "times the bare proxy", "scaled", "goal", "floor", "reached"):
        table.add_column(heading, justify="right")
    colours = {"goal": "green", "floor": "yellow", "missed": "red"}
    for figure in figures:
        times = f"{figure.value / figure.bare:.2f}x" if figure.bare else ""
        reached = f"[{colours[figure.verdict]}]{figure.verdict}[/]"
        scaled = "" if figure.scaled is None else _number(figure.scaled)
        measured = f"{_number(figure.value)} {figure.unit}"
        table.add_row(figure.name, measured, times, scaled, _number(figure.goal), _number(figure.floor), reached)
    return table


def _over(value: float | None, reference: float) -> float | None:
    return value / reference if value else None


def _number(value: float) -> str:
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
