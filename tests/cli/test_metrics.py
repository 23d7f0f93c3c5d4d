"""Metrics of several processes: added up, never falling, and in few files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import Gauge

import cli.worker  # noqa: F401 - whatever a worker counts is registered by its imports
from cli import metrics

_COUNTING = """
import pathlib, sys
from prometheus_client import Counter, Histogram
from cli import metrics
folder = pathlib.Path(sys.argv[1])
metrics.enter(folder)
Counter("answers", "Answers.", ["kind"]).labels("good").inc(float(sys.argv[2]))
Histogram("seconds", "Seconds.", buckets=(1, 10)).observe(5)
print("counted", flush=True)
sys.stdin.read()
"""


def _process(folder: Path, amount: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _COUNTING, str(folder), str(amount)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _values(folder: Path) -> dict[str, float]:
    lines = metrics.render(folder).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_any_process_tells_what_all_have_counted_the_ended_ones_too(tmp_path: Path) -> None:
    running = _process(tmp_path, 1)
    try:
        for amount in (10, 100):
            ended = _process(tmp_path, amount)
            _end(ended)
        values = _values(tmp_path)
        assert values['answers_total{kind="good"}'] == 111
        assert (values['seconds_bucket{le="10.0"}'], values["seconds_sum"]) == (3, 15)
    finally:
        _end(running)


def test_files_of_ended_processes_become_one_of_each_kind(tmp_path: Path) -> None:
    for _ in range(4):
        _end(_process(tmp_path, 10))
    running = _process(tmp_path, 1)
    try:
        values = _values(tmp_path)
        assert values['answers_total{kind="good"}'] == 41
        started = [name for name in values if name.startswith("tollbridge_worker_start_time_seconds")]
        assert started == [f'tollbridge_worker_start_time_seconds{{pid="{running.pid}"}}'], "of those that run, only"
        assert {path.name for path in tmp_path.iterdir()} == {
            *("counter_ended.db", "histogram_ended.db"),
            *(f"{kind}_{running.pid}.db" for kind in ("counter", "histogram", "gauge_liveall")),
        }
    finally:
        _end(running)


def test_a_file_that_stays_empty_is_an_error_and_no_silence(tmp_path: Path) -> None:
    (tmp_path / f"counter_{os.getpid()}.db").touch()
    with pytest.raises(Exception, match="unpack"):
        metrics.render(tmp_path)


def test_gauges_count_processes_that_live() -> None:
    registered = prometheus_client.REGISTRY._collector_to_names
    gauges = [each for each in registered if isinstance(each, Gauge)]
    assert gauges
    assert all(each._multiprocess_mode.startswith("live") for each in gauges), "an ended one's value would stay"
