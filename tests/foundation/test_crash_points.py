"""Named points kill whom a test ordered to die there, nobody else, and nobody in production."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server import config
from server.foundation import crash_points
from server.foundation.crash_points import VARIABLE

_PASS_TWO_POINTS = (
    "from server.foundation.crash_points import passing\n"
    "passing('admitted'); passing('journal opened'); passing('admitted'); print('alive')"
)


def _run(folder: Path | None) -> subprocess.CompletedProcess[str]:
    variables = {} if folder is None else {VARIABLE: str(folder)}
    return subprocess.run(
        [sys.executable, "-c", _PASS_TWO_POINTS], env=variables, capture_output=True, text=True, check=False
    )


def test_who_has_an_order_dies_at_its_point(tmp_path: Path) -> None:
    (tmp_path / "1.order").write_text("admitted 2")
    first, second = _run(tmp_path), _run(tmp_path)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "")
    assert (second.returncode, second.stdout) == (0, "alive\n"), "the order was followed"
    assert [path.suffix for path in tmp_path.iterdir()] == [".died"]


def test_an_order_for_a_point_that_is_not_passed_so_often_kills_nobody(tmp_path: Path) -> None:
    (tmp_path / "1.order").write_text("admitted 3")
    assert _run(tmp_path).returncode == 0


def test_without_orders_points_do_nothing() -> None:
    assert _run(None).stdout == "alive\n"
    assert crash_points.passing is crash_points._nothing


def test_production_does_not_start_with_orders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "Zk3vQ9rT1mXw7LbN5cJd8HfGyPqSaUeo0i")
    config.load()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(config.SettingsError, match=VARIABLE):
        config.load()
