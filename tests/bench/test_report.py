"""The tables compare with the double and the bare proxy; the workload is the same each time."""

from __future__ import annotations

import json

import pytest

from bench.generator import Load, Measurement
from bench.report import cost_row, latency_row, to_json
from bench.runner import Peak, Plan, Report, Result
from bench.scenarios import SCENARIOS, Scenario, chosen
from bench.targets import BASELINE, DIRECT, TOLLBRIDGE
from bench.workload import BODY_COUNT, chat_bodies

UNARY = Scenario("unary", "unary", 1, tokens=5)
STREAM = Scenario("stream", "stream", 1, tokens=5, stream=True)


def result(scenario: Scenario, target: str, p50: float, cpu: dict[str, float]) -> Result:
    load = Load(1, 1.0, 1000, 0, 0, 1000.0, 10_000, 10_000.0, 0, p50, p50 * 2, p50 * 3, p50 / 2, p50)
    return Result(scenario, target, Measurement(load, cpu))


def test_a_row_adds_and_compares() -> None:
    report = Report(
        [
            result(UNARY, DIRECT, 100, {}),
            result(UNARY, BASELINE, 300, {"supervisor": 0.1}),
            result(UNARY, TOLLBRIDGE, 700, {"supervisor": 0.01, "worker": 0.39, "postgresql": 0.2, "valkey": 0.01}),
        ]
    )

    direct, _, ours = report.results

    assert latency_row(ours, report) == ["1,000", "", "700", "1,400", "600", "1,200"]
    assert cost_row(ours, report) == ["400", "40.0", "4.00x", "2,500", "200", "10.0"]
    assert latency_row(direct, report)[4:] == ["", ""]
    assert cost_row(direct, report) == [""] * 6


def test_streams_are_compared_by_the_chunk_and_their_first_event() -> None:
    report = Report(
        [
            result(STREAM, DIRECT, 100, {}),
            result(STREAM, BASELINE, 300, {"supervisor": 0.1}),
            result(STREAM, TOLLBRIDGE, 700, {"supervisor": 0.0, "worker": 0.2}),
        ]
    )

    ours = report.results[2]

    assert latency_row(ours, report) == ["1,000", "10,000", "350", "700", "300", "600"]
    assert cost_row(ours, report)[2:4] == ["2.00x", "50,000"]


def test_the_json_section_holds_everything() -> None:
    results = [result(UNARY, DIRECT, 100, {}), result(UNARY, TOLLBRIDGE, 300, {"worker": 0.4})]
    section = json.loads(json.dumps(to_json(Report(results, [Peak("us", "worker", 200.0)], ["a note"]), Plan([], []))))

    assert section["results"][0]["load"]["latency_p50"] == 100
    assert section["results"][0]["scenario"]["name"] == "unary"
    assert (section["results"][1]["request_us"], section["results"][1]["added_p50"]) == (400, 200)
    assert section["memory_megabytes"] == [{"target": "us", "process": "worker", "megabytes": 200.0}]
    assert (section["organizations"], section["keys"], section["notes"]) == (200, 1000, ["a note"])


def test_bodies_differ_in_size_and_never_between_runs() -> None:
    bodies = chat_bodies(stream=True, max_tokens=9)

    assert bodies == chat_bodies(stream=True, max_tokens=9)
    assert len({len(body) for body in bodies}) > BODY_COUNT * 0.9
    assert min(map(len, bodies)) < 400 < 7000 < max(map(len, bodies))
    assert {json.loads(body)["max_tokens"] for body in bodies} == {9}
    assert all(json.loads(body)["stream_options"] == {"include_usage": True} for body in bodies)


def test_scenarios_are_chosen_by_name_and_the_usual_ones_without() -> None:
    assert chosen([]) == [scenario for scenario in SCENARIOS if scenario.usual]
    assert [scenario.name for scenario in chosen(["unary-64", "models-64"])] == ["unary-64", "models-64"]
    with pytest.raises(KeyError, match="fast"):
        chosen(["fast"])
