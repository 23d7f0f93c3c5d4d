"""Which plots a JSON file of figures gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.plots.chart import Bound, Chart, Mark, Row
from bench.plots.svg import draw
from bench.targets import DIRECT
from bench.usage.measure import FLOOR_MILLISECONDS, GOAL_MILLISECONDS

FIGURES_FILE: Final = "figures.json"

Document = Mapping[str, Any]
_GROWN: Final = ("organizations", "keys", "workers")
"""In the order in which they are shown."""


def cost(document: Document) -> Chart:
    """CPU time of every target."""
    rows = [
        Row(f"{title}, {target}", [Mark(0, value)])
        for title, scenario, field in (
            ("a chat call", "unary-64", "request_us"),
            ("a chunk, 100 tokens", "stream-64", "chunk_us"),
            ("a chunk, 1,000 tokens", "long-64", "chunk_us"),
            ("a gRPC chunk", "grpc-64", "chunk_us"),
        )
        for target, value in _of_targets(document, scenario, field)
    ]
    return Chart("What a call and a chunk cost", "CPU time, microseconds", ["CPU time"], rows)


def latency(document: Document) -> Chart:
    """What every target adds to the provider's own latency."""
    rows = []
    for title, scenario in (("1 connection", "unary-1"), ("64 connections", "unary-64")):
        p99s = dict(_of_targets(document, scenario, "added_p99"))
        for target, p50 in _of_targets(document, scenario, "added_p50"):
            marks = [Mark(0, p50), *([Mark(1, p99s[target])] if target in p99s else [])]
            rows.append(Row(f"{title}, {target}", marks))
    return Chart("What a chat call waits longer", "added latency, microseconds", ["p50", "p99"], rows)


def throughput(document: Document) -> Chart:
    """What one core carries."""
    rows = [
        Row(f"{title}, {target}", [Mark(0, 1e6 / value)])
        for title, scenario, field in (
            ("chat calls", "unary-64", "request_us"),
            ("chunks of 100-token streams", "stream-64", "chunk_us"),
        )
        for target, value in _of_targets(document, scenario, field)
    ]
    return Chart("What one core carries", "a second", ["rate"], rows)


def memory(document: Document) -> Chart:
    """The largest process of every target."""
    peaks: dict[str, float] = {}
    for peak in document["calls"]["memory_megabytes"]:
        if peak["process"] in {"supervisor", "worker"}:
            peaks[peak["target"]] = max(peaks.get(peak["target"], 0.0), peak["megabytes"])
    opened = {
        result["target"]: max(value for name, value in result["megabytes"].items() if name in {"supervisor", "worker"})
        for result in document["calls"]["results"]
        if result["scenario"]["name"] == "open-1000" and result["megabytes"]
    }
    rows = [
        Row(target, [*([Mark(0, opened[target])] if target in opened else []), Mark(1, peak)])
        for target, peak in peaks.items()
    ]
    series = ["with 1,000 streams open", "peak of the whole run"]
    return Chart("Memory of the largest process", "resident, MB", series, rows)


def usage(document: Document) -> Chart:
    """Every usage question, on each table."""
    tables = sorted(document["usage"], key=lambda table: table["rows"])
    rows = []
    for index, answer in enumerate(tables[-1]["answers"]):
        marks = [Mark(series, table["answers"][index]["p95"]) for series, table in enumerate(tables)]
        rows.append(Row(answer["title"], marks))
    series = [f"{table['rows']:,} rows" for table in tables]
    bounds = [Bound("goal", GOAL_MILLISECONDS), Bound("floor", FLOOR_MILLISECONDS)]
    return Chart("Usage queries, through HTTP", "95th percentile, milliseconds", series, rows, bounds)


def growth(document: Document) -> Chart:
    """What a call costs as everything grows."""
    rows = [
        Row(
            f"{point['size']:,} {point['series'] if point['size'] > 1 else point['series'].removesuffix('s')}",
            [Mark(0, point["request_us"]), Mark(1, point["postgresql_us"]), Mark(2, point["p50_us"])],
        )
        for point in sorted(document["growth"], key=lambda point: _GROWN.index(point["series"]))
        if min(point["request_us"], point["postgresql_us"], point["p50_us"]) > 0
    ]
    series = ["Tollbridge's CPU a call", "PostgreSQL's CPU a call", "p50 at 1 connection"]
    return Chart("What a chat call costs as everything grows", "microseconds", series, rows)


def books(document: Document) -> Chart:
    """Rates at which calls come into the books."""
    return _rates("How fast calls come into the books", document["books"])


def limits(document: Document) -> Chart:
    """Rates at which limits are decided."""
    return _rates("How fast limits are decided, five each", document["limits"])


CHARTS: Final[Mapping[str, tuple[str, Callable[[Document], Chart]]]] = {
    "cost": ("calls", cost),
    "latency": ("calls", latency),
    "throughput": ("calls", throughput),
    "memory": ("calls", memory),
    "usage": ("usage", usage),
    "growth": ("growth", growth),
    "books": ("books", books),
    "limits": ("limits", limits),
}
"""By file name: the section of the JSON file that it needs, and what draws it."""


def draw_all(document: Document, folder: Path) -> list[Path]:
    """Draws every plot whose section is there into `folder`, and keeps the figures beside. Returns the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES_FILE).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    drawn = []
    for name, (section, chart) in CHARTS.items():
        if section in document:
            path = folder / f"{name}.svg"
            path.write_text(draw(chart(document)), "utf-8")
            drawn.append(path)
    return drawn


def _rates(title: str, rates: Sequence[Mapping[str, Any]]) -> Chart:
    return Chart(title, "a second", ["rate"], [Row(rate["title"], [Mark(0, rate["a_second"])]) for rate in rates])


def _of_targets(document: Document, scenario: str, field: str) -> Iterable[tuple[str, float]]:
    """Each target with what it took, without the double itself and without what was not measured."""
    for result in document["calls"]["results"]:
        value = result[field]
        if result["scenario"]["name"] == scenario and result["target"] != DIRECT and value is not None and value > 0:
            yield result["target"], value
