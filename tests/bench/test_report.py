"""The table compares with the double, the bare proxy and the goals; the workload is the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.generator import Load, Measurement
from bench.report import cost_row, latency_row, write_json
from bench.runner import Plan, Report, Result
from bench.scenarios import SCENARIOS, Scenario, chosen
from bench.targets import BASELINE, DIRECT, TOLLBRIDGE
from bench.workload import BODY_COUNT, chat_bodies

UNARY = Scenario("unary", "unary", 1, tokens=5, goal_request=500)
STREAM = Scenario("stream", "stream", 1, tokens=5, stream=True, goal_chunk=18)


def result(scenario: Scenario, target: str, p50: float, cpu: dict[str, float]) -> Result:
    load = Load(1, 1.0, 1000, 0, 0, 1000.0, 10_000, 10_000.0, 0, p50, p50 * 2, p50 * 3, p50 / 2, p50)
    return Result(scenario, target, Measurement(load, cpu))


def test_a_row_adds_compares_and_judges() -> None:
    report = Report(
        [
            result(UNARY, DIRECT, 100, {}),
            result(UNARY, BASELINE, 300, {"supervisor": 0.1}),
            result(UNARY, TOLLBRIDGE, 700, {"supervisor": 0.01, "worker": 0.39, "postgresql": 0.2, "valkey": 0.01}),
        ]
    )

    direct, _, ours = report.results

    assert latency_row(ours, report) == ["1,000", "", "700", "1,400", "600", "1,200"]
    assert cost_row(ours, report) == ["400", "40.0", "500 [green]met[/green]", "4.00x (goal 6.0x)", "200", "10.0"]
    assert latency_row(direct, report)[4:] == ["", ""]
    assert cost_row(direct, report) == [""] * 6


def test_streams_are_judged_by_the_chunk_and_their_first_event() -> None:
    report = Report(
        [
            result(STREAM, DIRECT, 100, {}),
            result(STREAM, BASELINE, 300, {"supervisor": 0.1}),
            result(STREAM, TOLLBRIDGE, 700, {"supervisor": 0.0, "worker": 0.2}),
        ]
    )

    ours = report.results[2]

    assert latency_row(ours, report) == ["1,000", "10,000", "350", "700", "300", "600"]
    assert cost_row(ours, report)[2:4] == ["18 [red]missed[/red]", "2.00x (goal 1.6x)"]


def test_the_json_file_holds_everything(tmp_path: Path) -> None:
    report = Report([result(UNARY, DIRECT, 100, {})], [("worker", 200.0)], ["a note"])

    write_json(report, Plan([UNARY], []), tmp_path / "out.json")

    document = json.loads((tmp_path / "out.json").read_text())
    assert document["results"][0]["load"]["latency_p50"] == 100
    assert document["results"][0]["scenario"]["name"] == "unary"
    assert document["memory_megabytes"] == [{"process": "worker", "peak": 200.0}]
    assert document["machine"]["cores"]


def test_bodies_differ_in_size_and_never_between_runs() -> None:
    bodies = chat_bodies(stream=True, max_tokens=9)

    assert bodies == chat_bodies(stream=True, max_tokens=9)
    assert len({len(body) for body in bodies}) > BODY_COUNT * 0.9
    assert min(map(len, bodies)) < 400 < 7000 < max(map(len, bodies))
    assert {json.loads(body)["max_tokens"] for body in bodies} == {9}
    assert all(json.loads(body)["stream_options"] == {"include_usage": True} for body in bodies)


def test_scenarios_are_chosen_by_name() -> None:
    assert chosen([]) == list(SCENARIOS)
    assert [scenario.name for scenario in chosen(["unary-64"])] == ["unary-64"]
    with pytest.raises(KeyError, match="fast"):
        chosen(["fast"])
