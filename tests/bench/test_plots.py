"""Plots are the same for the same figures, stay within their paper, and are what the committed figures give."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.plots.chart import Bound, Chart, Mark, Row, number, step_above, step_below
from bench.plots.charts import CHARTS, FIGURES_FILE, draw_all
from bench.plots.svg import WIDTH, draw

COMMITTED = Path(__file__).parent.parent.parent / "docs" / "performance"
CHART = Chart(
    "Cost & more",
    "CPU time, microseconds",
    ["p50", "p99"],
    [Row("a <call>", [Mark(0, 12.0), Mark(1, 4_700.0)]), Row("a chunk", [Mark(0, 3.4)])],
    [Bound("goal", 90.0)],
)


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [(1.0, 0.5, 2.0), (3.4, 2.0, 5.0), (5.0, 2.0, 10.0), (99.0, 50.0, 100.0), (100.0, 50.0, 200.0), (0.03, 0.02, 0.05)],
)
def test_axes_begin_and_end_at_round_values(value: float, below: float, above: float) -> None:
    assert step_below(value) == pytest.approx(below)
    assert step_above(value) == pytest.approx(above)


def test_marks_stand_in_the_order_of_their_values() -> None:
    assert CHART.axis_bounds == (2.0, 5_000.0)
    assert CHART.ticks == [10.0, 100.0, 1_000.0]
    assert (CHART.place(2.0), CHART.place(5_000.0)) == (0.0, 1.0)
    assert CHART.place(100.0) == pytest.approx(0.5)
    assert Chart("few", "s", ["s"], [Row("r", [Mark(0, 3.0), Mark(0, 40.0)])]).ticks == [2.0, 5.0, 10.0, 20.0, 50.0]


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing above 0"):
        Chart("empty", "s", ["s"], [])
    with pytest.raises(ValueError, match="nothing above 0"):
        Chart("zero", "s", ["s"], [Row("r", [Mark(0, 0.0)])])


@pytest.mark.parametrize(
    ("value", "text"), [(12_345.6, "12,346"), (100.0, "100"), (99.94, "99.9"), (9.999, "10"), (0.5, "0.5"), (2.0, "2")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_drawing_is_whole_and_the_same_each_time() -> None:
    text = draw(CHART)
    assert text == draw(CHART)
    root = ElementTree.fromstring(text)  # noqa: S314 - our own file
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for word in ("Cost & more", "a <call>", "CPU time, microseconds", "p99", "goal 90", "4,700", "3.4"):
        assert word in words
    across = [float(value) for value in re.findall(r'(?:x|cx|x1|x2)="([\d.]+)"', text)]
    assert max(across) < WIDTH
    assert "prefers-color-scheme:dark" in text


def of(target: str, scenario: str, **values: float | None) -> dict[str, Any]:
    empty = {"request_us": None, "chunk_us": None, "added_p50": None, "added_p99": None}
    megabytes = {"worker": 200.0} if target != "double" else {}
    return {"target": target, "scenario": {"name": scenario}, "megabytes": megabytes, **empty, **values}


def document() -> dict[str, Any]:
    scenarios = ("unary-1", "unary-64", "stream-64", "long-64", "grpc-64", "open-1000")
    values = {"request_us": 100.0, "chunk_us": 12.0, "added_p50": 200.0, "added_p99": 900.0}
    results = [of(target, name, **values) for name in scenarios for target in ("double", "bare proxy", "Tollbridge")]
    rates = [{"title": "flushed", "a_second": 1000.0}]
    answers = [{"title": "30 days", "p50": 1.0, "p95": 3.0}]
    point = {"series": "organizations", "size": 1, "request_us": 90.0, "postgresql_us": 40.0, "p50_us": 300.0}
    return {
        "calls": {"results": results, "memory_megabytes": [{"target": "T", "process": "worker", "megabytes": 9.0}]},
        "usage": [{"rows": 10_000, "answers": answers}, {"rows": 1_000, "answers": answers}],
        "growth": [point, {**point, "size": 100}, {**point, "size": 10_000, "postgresql_us": 0.0}],
        "books": rates,
        "limits": rates,
    }


def test_every_section_has_its_plots(tmp_path: Path) -> None:
    drawn = draw_all(document(), tmp_path)

    assert [path.stem for path in drawn] == list(CHARTS)
    assert json.loads((tmp_path / FIGURES_FILE).read_text()) == document()
    assert "double" not in (tmp_path / "cost.svg").read_text()
    growth = (tmp_path / "growth.svg").read_text()
    assert "1 organization<" in growth
    assert "100 organizations<" in growth
    assert draw_all({"books": document()["books"]}, tmp_path / "one") == [tmp_path / "one" / "books.svg"]


def test_the_committed_plots_are_drawn_from_the_committed_figures(tmp_path: Path) -> None:
    drawn = draw_all(json.loads((COMMITTED / FIGURES_FILE).read_text("utf-8")), tmp_path)

    assert {path.name for path in drawn} == {path.name for path in COMMITTED.glob("*.svg")}
    for path in drawn:
        assert path.read_text("utf-8") == (COMMITTED / path.name).read_text("utf-8"), path.name
