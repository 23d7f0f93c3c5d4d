"""A figure is judged as it would be where its goal was set."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import document
from bench.figures import Figure, call_figures, fdatasync_p50, figure_table, slowness
from bench.generator import Load, Measurement
from bench.percentiles import percentile
from bench.runner import Report, Result
from bench.scenarios import LONG_64, OPEN_1000, STREAM_64, UNARY_1, UNARY_64, Scenario
from bench.targets import BASELINE, DIRECT, TOLLBRIDGE


def result(scenario: Scenario, target: str, cpu: float, p50: float = 0.0, megabytes: float = 0.0) -> Result:
    load = Load(1, 1.0, 1000, 0, 0, 1000.0, 10_000, 10_000.0, 0, p50, p50, p50, p50, p50)
    return Result(scenario, target, Measurement(load, {"worker": cpu}, {"worker": megabytes}))


@pytest.mark.parametrize(("value", "verdict"), [(180.0, "goal"), (180.1, "floor"), (300.0, "floor"), (300.1, "missed")])
def test_on_a_machine_half_as_fast_twice_as_much_is_allowed(value: float, verdict: str) -> None:
    figure = Figure("cost", value, "us", 90.0, 150.0, slowness=2.0)
    assert figure.scaled == value / 2
    assert figure.verdict == verdict


@pytest.mark.parametrize(("value", "verdict"), [(50.0, "goal"), (49.0, "floor"), (10.0, "floor"), (9.9, "missed")])
def test_rates_are_scaled_up(value: float, verdict: str) -> None:
    figure = Figure("rate", value, "/s", 100.0, 20.0, slowness=2.0, more_is_better=True)
    assert figure.scaled == value * 2
    assert figure.verdict == verdict


def test_without_a_bare_proxy_the_figure_is_judged_as_it_is() -> None:
    figure = Figure("memory", 221.0, "MB", 220.0, 300.0)
    assert (figure.scaled, figure.verdict) == (None, "floor")
    assert figure.to_json()["verdict"] == "floor"


def test_traffic_gives_its_figures() -> None:
    report = Report(
        [
            result(UNARY_64, BASELINE, 0.168),
            result(UNARY_64, TOLLBRIDGE, 0.336),
            result(STREAM_64, BASELINE, 0.228),
            result(STREAM_64, TOLLBRIDGE, 0.456),
            result(LONG_64, TOLLBRIDGE, 0.2),
            result(UNARY_1, DIRECT, 0.0, p50=20.0),
            result(UNARY_1, TOLLBRIDGE, 0.5, p50=470.0),
            result(OPEN_1000, TOLLBRIDGE, 0.1, megabytes=210.0),
        ]
    )
    found = {figure.name: figure for figure in call_figures(report, 50.0)}

    assert slowness(report) == pytest.approx(2.0)
    chat = found["chat over REST, CPU a request"]
    assert chat.value == pytest.approx(336)
    assert chat.bare == pytest.approx(168)
    assert chat.verdict == "missed"
    assert found["chunk, REST, streams of 100 tokens"].scaled == pytest.approx(22.8)
    assert found["chunk, REST, streams of 1,000 tokens"].scaled is None
    added = found["added p50 at 1 connection, without fdatasync (50 us)"]
    assert added.scaled == pytest.approx(200.0)
    assert (added.value, added.verdict) == (400.0, "goal")
    assert found["memory of a worker, 1,000 open streams"].verdict == "goal"
    assert figure_table(list(found.values())).row_count == 5


def test_a_run_without_traffic_has_no_figures() -> None:
    assert call_figures(Report(), 50.0) == []
    assert slowness(Report()) is None


def test_the_disk_takes_its_time(tmp_path: Path) -> None:
    assert fdatasync_p50(tmp_path) > 0


def test_percentiles_are_samples() -> None:
    assert [percentile([5, 1, 3, 2, 4], percent) for percent in (0, 20, 50, 95, 100)] == [1, 1, 3, 5, 5]
    assert percentile([], 50) == 0.0


def test_each_section_of_the_file_is_replaced_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    document.update(path, {"calls": 1, "usage": 2})
    document.update(path, {"usage": 3})
    found = document.read(path)
    assert (found["calls"], found["usage"]) == (1, 3)
    assert found["machine"]["cores"]
    path.write_text("[]")
    assert document.read(path) == {}
    path.write_text("{")
    assert document.read(path) == {}
