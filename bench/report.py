"""Shows a run of traffic: tables for people, JSON for comparing runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from bench.runner import Peak, Plan, Report, Result
from bench.scenarios import Scenario
from bench.targets import BASELINE, DIRECT, OWN_GROUPS

SHOWN_OF_A_KIND = 5
"""Processes of one kind in the table of memory: PostgreSQL has many."""


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
    headings = ("a request", "a chunk", "times the bare proxy", "a second on one core", "PostgreSQL", "Valkey")
    title = "CPU time in microseconds (PostgreSQL, Valkey: a request), and what of it one core carries"
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
    direct = report.find(result.scenario, DIRECT)
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
    """CPU time of the target's own processes a request and a chunk, as a multiple of the bare proxy's, how many of
    them (chunks of streams, requests of others) fill a core, and the services' CPU time."""
    measurement, own = result.measurement, cost(result)
    bare = report.find(result.scenario, BASELINE)
    other = cost(bare) if bare is not None and result.target not in {DIRECT, BASELINE} else None
    return [
        _number(measurement.microseconds_per_request(*OWN_GROUPS)),
        _number(measurement.microseconds_per_event(*OWN_GROUPS)),
        f"{own / other:.2f}x" if own and other else "",
        _number(1e6 / own if own else None),
        _number(measurement.microseconds_per_request("postgresql")),
        _number(measurement.microseconds_per_request("valkey")),
    ]


def cost(result: Result) -> float | None:
    """CPU microseconds a chunk of streams, a request of others; None where it is not known."""
    if result.scenario.stream:
        return result.measurement.microseconds_per_event(*OWN_GROUPS)
    return result.measurement.microseconds_per_request(*OWN_GROUPS)


def latency(result: Result) -> tuple[float | None, float | None]:
    """p50 and p99 of a whole unary answer, or until a stream's first event; None where nothing fell into the run."""
    load = result.measurement.load
    if result.scenario.stream:
        return load.first_event_p50 or None, load.first_event_p99 or None
    return load.latency_p50 or None, load.latency_p99 or None


def memory_table(memory: Sequence[Peak]) -> Table:
    """The peak resident memory of each process; of many alike only the five largest."""
    table = Table(title="Peak resident memory in MB")
    for heading in ("target", "process"):
        table.add_column(heading, no_wrap=True)
    table.add_column("peak", justify="right")
    shown: dict[tuple[str, str], int] = {}
    for peak in memory:
        kind = peak.target, peak.process
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] <= SHOWN_OF_A_KIND:
            table.add_row(*kind, f"{peak.megabytes:,.0f}")
    return table


def to_json(report: Report, plan: Plan) -> dict[str, object]:
    """Everything that was measured, with the options that it was measured with."""
    return {
        "seconds": plan.seconds,
        "warm_up": plan.warm_up,
        "organizations": plan.organizations,
        "keys": plan.keys,
        "services_on_product_core": plan.services_on_product_core,
        "results": [_result(result, report) for result in report.results],
        "memory_megabytes": [asdict(peak) for peak in report.memory],
        "notes": report.notes,
    }


def _result(result: Result, report: Report) -> dict[str, object]:
    p50, p99 = latency(result)
    direct = report.find(result.scenario, DIRECT)
    direct_p50, direct_p99 = (None, None) if direct is None or result.target == DIRECT else latency(direct)
    return {
        "scenario": asdict(result.scenario),
        "target": result.target,
        **result.measurement.to_json(),
        "request_us": result.measurement.microseconds_per_request(*OWN_GROUPS),
        "chunk_us": result.measurement.microseconds_per_event(*OWN_GROUPS),
        "added_p50": _difference(p50, direct_p50),
        "added_p99": _difference(p99, direct_p99),
    }


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
