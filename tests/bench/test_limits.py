"""Every way of deciding limits has its figure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import limits


def test_every_way_of_deciding_has_its_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.05)
    monkeypatch.setattr(limits, "KEYS", 4)
    monkeypatch.setattr(limits, "ORGANIZATIONS", 2)
    monkeypatch.setattr(limits, "PAUSE_SECONDS", 0.01)
    before = os.sched_getaffinity(0)
    try:
        rates = limits.measure(tmp_path, min(before), max(before), lambda _: None)
    finally:
        os.sched_setaffinity(0, before)
    assert [rate.title.split(",")[0] for rate in rates] == [
        *["limits decided from slices"] * 2,
        "limits of rare calls",
        *["limits decided in Valkey"] * 2,
        "limits that refuse",
    ]
    assert all(rate.a_second > 0 and rate.microseconds > 0 for rate in rates)
