"""Measuring the books leaves right books, and every way has its figure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import ledger


def test_every_way_of_settling_has_its_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CALLS", 200)
    monkeypatch.setattr(ledger, "PAIRS", 20)
    before = os.sched_getaffinity(0)
    first, last = min(before), max(before)
    try:
        rates = ledger.measure(tmp_path, first, last, lambda _: None)
    finally:
        os.sched_setaffinity(0, before)
    assert len(rates) == 8
    assert all(rate.a_second > 0 and rate.microseconds > 0 for rate in rates)
    assert any("flushed, 200 organizations" in rate.line() for rate in rates)
    assert {ledger.FLUSHED_ONE, ledger.HELD_ONE} <= {rate.title for rate in rates}
