"""Shows a run: tables for people, JSON for comparing runs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.runner import Plan, Report, Result
from bench.scenarios import (
    GOAL_SUPERVISOR_MEGABYTES,
    GOAL_WORKER_MEGABYTES,
    REFERENCE_CHUNK,
    REFERENCE_REQUEST,
    Scenario,
)
from bench.targets import BASELINE, DIRECT, OWN_GROUPS

MEMORY_GOALS = {"supervisor": GOAL_SUPERVISOR_MEGABYTES, "worker": GOAL_WORKER_MEGABYTES}


def show(report: Report, console: Console) -> None:
    """Prints the tables and notes."""
    console.print(latency_table(report))
    console.print(cost_table(report))
    if report.memory:
        console.print(memory_table(report.memory))
    for note in report.notes:
        console.print(f"- {note}", markup=False)


def latency_table(report: Report) -> Table:
    """How fast: one row for each kind of traffic and target."""
    headings = ("requests/s", "chunks/s", "p50", "p99", "added p50", "added p99")
    return _table("Latency in microseconds (of streams: until the first event)", headings, latency_row, report)


def cost_table(report: Report) -> Table:
    """How dear: one row for each kind of traffic and target."""
    headings = ("a request", "a chunk", "goal", "times the bare proxy", "PostgreSQL", "Valkey")
    title = "CPU time in microseconds (PostgreSQL, Valkey: a request)"
    return _table(title, headings, cost_row, report)


def _table(title: str, headings: Sequence[str], row: Callable[[Result, Report], list[str]], report: Report) -> Table:
    table = Table(title=title)
    table.add_column("traffic", no_wrap=True)
    table.add_column("target", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    previous: Scenario | None = None
    for result in report.results:
        if previous is not None and previous != result.scenario:
            table.add_section()
        previous = result.scenario
        table.add_row(result.scenario.title, result.target, *row(result, report))
    return table


def latency_row(result: Result, report: Report) -> list[str]:
    """Requests and chunks a second, p50, p99, and what both add to the double's own."""
    load = result.measurement.load
    p50, p99 = latency(result)
    direct = _find(report, result.scenario, DIRECT)
    direct_p50, direct_p99 = (None, None) if direct is None or result.target == DIRECT else latency(direct)
    return [
        _number(load.requests_per_second),
        _number(load.events_per_second) if result.scenario.stream else "",
        _number(p50),
        _number(p99),
        _number(_difference(p50, direct_p50)),
        _number(_difference(p99, direct_p99)),
    ]


def cost_row(result: Result, report: Report) -> list[str]:
    """CPU time of the target's own processes a request and a chunk, goal, multiple of the bare proxy, services."""
    measurement = result.measurement
    return [
        _number(measurement.microseconds_per_request(*OWN_GROUPS)),
        _number(measurement.microseconds_per_event(*OWN_GROUPS)),
        _goal(result),
        _ratio(result, report),
        _number(measurement.microseconds_per_request("postgresql")),
        _number(measurement.microseconds_per_request("valkey")),
    ]


def latency(result: Result) -> tuple[float | None, float | None]:
    """p50 and p99 of a whole unary answer, or until a stream's first event; None where nothing fell into the run."""
    load = result.measurement.load
    if result.scenario.stream:
        return load.first_event_p50 or None, load.first_event_p99 or None
    return load.latency_p50 or None, load.latency_p99 or None


def memory_table(memory: list[tuple[str, float]]) -> Table:
    """The peak resident memory of each process; of PostgreSQL only the five largest."""
    table = Table(title="Peak resident memory in MB")
    table.add_column("process")
    table.add_column("peak", justify="right")
    table.add_column("goal", justify="right")
    shown: dict[str, int] = {}
    for name, peak in memory:
        shown[name] = shown.get(name, 0) + 1
        if shown[name] <= 5:
            goal = MEMORY_GOALS.get(name)
            table.add_row(name, f"{peak:,.0f}", "" if goal is None else f"{goal:,.0f}{_verdict(peak, goal)}")
    return table


def write_json(report: Report, plan: Plan, path: Path) -> None:
    """Everything that was measured, with the machine and the options that it was measured with."""
    document = {
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "seconds": plan.seconds,
        "warm_up": plan.warm_up,
        "services_on_product_core": plan.services_on_product_core,
        "results": [
            {"scenario": asdict(result.scenario), "target": result.target, **result.measurement.to_json()}
            for result in report.results
        ],
        "memory_megabytes": [{"process": name, "peak": peak} for name, peak in report.memory],
        "notes": report.notes,
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def processor() -> str:
    """The processor's name as Linux has it; empty where it has none."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""


def _find(report: Report, scenario: Scenario, target: str) -> Result | None:
    return next((other for other in report.results if other.scenario == scenario and other.target == target), None)


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _goal(result: Result) -> str:
    """The absolute goal and whether it was met, for the traffic that has one."""
    if result.target in {DIRECT, BASELINE}:
        return ""
    goal, value = result.scenario.goal_request, result.measurement.microseconds_per_request(*OWN_GROUPS)
    if result.scenario.stream:
        goal, value = result.scenario.goal_chunk, result.measurement.microseconds_per_event(*OWN_GROUPS)
    return "" if goal is None or value is None else f"{goal:,.0f}{_verdict(value, goal)}"


def _verdict(value: float, goal: float) -> str:
    return " [green]met[/green]" if value <= goal else " [red]missed[/red]"


def _ratio(result: Result, report: Report) -> str:
    """CPU time as a multiple of the bare proxy's in the same run (a chunk of streams, a request of others), and the
    multiple that the goal allowed on the machine that it was set for."""
    scenario = result.scenario
    baseline = _find(report, scenario, BASELINE)
    if baseline is None or result.target in {DIRECT, BASELINE}:
        return ""
    own = result.measurement.microseconds_per_request(*OWN_GROUPS)
    other = baseline.measurement.microseconds_per_request(*OWN_GROUPS)
    goal = scenario.goal_request / REFERENCE_REQUEST if scenario.goal_request else None
    if scenario.stream:
        own = result.measurement.microseconds_per_event(*OWN_GROUPS)
        other = baseline.measurement.microseconds_per_event(*OWN_GROUPS)
        goal = scenario.goal_chunk / REFERENCE_CHUNK if scenario.goal_chunk else None
    if not own or not other:
        return ""
    return f"{own / other:.2f}x" if goal is None else f"{own / other:.2f}x (goal {goal:.1f}x)"
