"""One run of the command: what was measured so far, for people and for the JSON file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench import document, figures, growth, ledger, limits, overload, report, runner, workers
from bench.figures import Figure
from bench.runner import Plan, two_cores
from bench.usage import measure as usage

GOAL_FLUSHED: Final = 50_000.0
FLOOR_FLUSHED: Final = 16_000.0
"""Calls a second through the flush, one organization."""


@dataclass(slots=True)
class Session:
    """Measures one thing after the other. Every method raises CompilerError, ProgramFailed and TooFewCores."""

    plan: Plan
    folder: Path
    console: Console
    progress: Callable[[str], None]
    affinity: set[int] = field(default_factory=lambda: os.sched_getaffinity(0))
    """The cores of this process before a measurement chose one of them."""
    sections: dict[str, object] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    slowness: float | None = None
    """How much slower than where the goals were set, as the bare proxy told."""
    _tables: list[dict[str, object]] = field(default_factory=list)

    def calls(self) -> None:
        """Traffic of every kind on every target."""
        self._on_all_cores()
        sync = figures.fdatasync_p50(self.folder)
        found = runner.run(self.plan, self.folder, self.progress)
        self.slowness = figures.slowness(found)
        self.figures += figures.call_figures(found, sync)
        self.sections["calls"] = {**report.to_json(found, self.plan), "fdatasync_us": sync}
        report.show(found, self.console)

    def books(self) -> None:
        """How fast calls come into the books."""
        self._on_all_cores()
        rates = ledger.measure(self.folder, *two_cores(), self.progress)
        self._say(rate.line() for rate in rates)
        self.sections["books"] = [asdict(rate) for rate in rates]
        flushed = next(rate for rate in rates if rate.title == ledger.FLUSHED_ONE)
        self.figures.append(
            Figure(
                "calls flushed, 1 organization",
                flushed.a_second,
                "/s",
                GOAL_FLUSHED,
                FLOOR_FLUSHED,
                self.slowness,
                more_is_better=True,
            )
        )

    def limits(self) -> None:
        """How fast limits are decided."""
        self._on_all_cores()
        rates = limits.measure(self.folder, *two_cores(), self.progress)
        self._say(rate.line() for rate in rates)
        self.sections["limits"] = [asdict(rate) for rate in rates]
        decided = next(rate for rate in rates if rate.title == limits.FROM_SLICES)
        self.figures.append(
            Figure(
                "limiter decisions of 5 limits each, one process",
                decided.a_second,
                "/s",
                limits.GOAL,
                limits.FLOOR,
                self.slowness,
                more_is_better=True,
            )
        )

    def usage(self, rows: int) -> None:
        """How long usage queries take on so many rows."""
        self._on_all_cores()
        found = usage.measure(self.folder / f"usage-{rows}", two_cores(), rows, self.progress)
        self.console.print(usage_table(found))
        self._say([f"{rows:,} rows were written in {found.fill_seconds:,.0f} s"])
        self._tables.append(found.to_json())
        self.sections["usage"] = self._tables
        if rows == usage.MANY_ROWS:
            self.figures.append(
                Figure(
                    f"usage queries, {rows:,} rows, p95 of the slowest",
                    found.slowest.p95,
                    "ms",
                    usage.GOAL_MILLISECONDS,
                    usage.FLOOR_MILLISECONDS,
                    self.slowness,
                )
            )

    def growth(self, rows: int) -> None:
        """What a call costs, and what usage queries take, as more and more stands in the database."""
        self._on_all_cores()
        points = growth.measure(self.plan, self.folder, self.progress)
        self._say(point.line() for point in points)
        self.sections["growth"] = growth.to_json(points)
        self.usage(usage.FEW_ROWS)
        self.usage(rows)

    def workers(self, count: int) -> None:
        """Several workers beside one, and one of them killed."""
        self._on_all_cores()
        comparison = workers.compare(self.plan, count, self.folder, self.progress)
        self._say(comparison.lines())
        self.sections["workers"] = comparison.to_json()

    def overload(self) -> None:
        """Three times as many calls as can be served."""
        self._on_all_cores()
        crowd = overload.overload(self.plan, self.folder, self.progress)
        self._say(crowd.lines())
        self.sections["overload"] = crowd.to_json()

    def finish(self, json_file: Path) -> None:
        """Prints the figures beside their goals, and writes the JSON file."""
        if self.figures:
            self.console.print(figures.figure_table(self.figures))
            self.sections["figures"] = [figure.to_json() for figure in self.figures]
        document.update(json_file, self.sections)
        self.console.print(f"All figures: {json_file}", markup=False)

    def _on_all_cores(self) -> None:
        os.sched_setaffinity(0, self.affinity)

    def _say(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.console.print(f"- {line}", markup=False)


def usage_table(found: usage.UsageReport) -> Table:
    """Every question with its percentiles."""
    table = Table(title=f"Usage queries, {found.rows:,} rows, half of them the asking organization's; milliseconds")
    table.add_column("question", no_wrap=True)
    for heading in ("p50", "p95"):
        table.add_column(heading, justify="right")
    for answered in found.answers:
        table.add_row(answered.title, f"{answered.p50:,.1f}", f"{answered.p95:,.1f}")
    return table
