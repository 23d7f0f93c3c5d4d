"""The bootstrap's own rules: when an environment is current, how starts take turns, what is linked into it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toolchain.checkout import CHECKOUT, MadeUpCheckout
from tools.bootstrap import Environment, link, turn


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(MadeUpCheckout.make(tmp_path / "it's a folder").folder)


def test_what_was_recorded_is_current(environment: Environment) -> None:
    assert environment.is_current()


def test_an_installation_cut_short_is_made_again(environment: Environment) -> None:
    environment.unfinished.touch()
    assert not environment.belongs_here()


def test_other_requirements_need_an_update_but_no_new_environment(environment: Environment) -> None:
    environment.requirements("dev").write_text("dev==2\n")
    assert environment.belongs_here()
    assert not environment.is_current()


def test_the_tollbridge_command_works_whatever_the_folder_is_called(environment: Environment) -> None:
    (environment.checkout / "cli" / "main.py").write_text("def main() -> int:\n    return 7\n")
    link(environment)
    ended = subprocess.run([str(environment.folder / "bin" / "tollbridge")], check=False, timeout=30)
    assert ended.returncode == 7


def test_one_start_at_a_time_installs(tmp_path: Path) -> None:
    waits = "import sys; from pathlib import Path; from tools.bootstrap import turn\nwith turn(Path(sys.argv[1])): pass"
    with turn(tmp_path):
        second = subprocess.Popen(
            [sys.executable, "-c", waits, str(tmp_path)], cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        assert "waiting" in second.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.5)
    with second:
        assert second.wait(30) == 0


def test_a_lock_whose_holder_died_is_free(tmp_path: Path) -> None:
    dies = "import os, sys; from pathlib import Path; from tools.bootstrap import turn\n"
    dies += "with turn(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", dies, str(tmp_path)], cwd=CHECKOUT, check=False, timeout=30)
    with (tmp_path / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not lock.closed
