"""`./run`: quick when nothing changed, aware of what did, and gone once the task runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.toolchain.checkout import CHECKOUT, MadeUpCheckout

TASKS = (
    "serve",
    "test",
    "check",
    "generate",
    "fmt",
    "migrate",
    "bench",
    "chaos",
    "browser",
    "image",
    "lock",
    "release-image",
)
CALLED = "bootstrap was called"


@pytest.fixture
def checkout(tmp_path: Path) -> MadeUpCheckout:
    return MadeUpCheckout.make(tmp_path / "a folder's name")


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_it_lists_the_tasks(arguments: tuple[str, ...]) -> None:
    listed = subprocess.run(
        [str(CHECKOUT / "run"), *arguments], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert [line.split()[0] for line in listed.splitlines()[2:]] == list(TASKS)


def test_a_task_replaces_run_and_gets_its_arguments(checkout: MadeUpCheckout, tmp_path: Path) -> None:
    with checkout.start("serve", "--data-dir", "two words", cwd=tmp_path) as process:
        printed, _ = process.communicate(timeout=30)
    assert printed.strip() == f"{process.pid} {tmp_path} serve --data-dir two words"


def test_a_second_start_installs_nothing(checkout: MadeUpCheckout) -> None:
    assert CALLED not in checkout.run("serve")


def test_changed_requirements_are_noticed(checkout: MadeUpCheckout) -> None:
    with (checkout.folder / "requirements" / "embedded.txt").open("a") as requirements:
        requirements.write("another==1\n")
    assert CALLED in checkout.run("serve")


def test_a_moved_checkout_is_noticed(checkout: MadeUpCheckout, tmp_path: Path) -> None:
    moved = MadeUpCheckout(checkout.folder.rename(tmp_path / "elsewhere"))
    assert CALLED in moved.run("serve")


def test_another_interpreter_is_noticed(checkout: MadeUpCheckout) -> None:
    python = checkout.folder / ".venv" / "bin" / "python"
    resolved = python.resolve()
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec "{resolved}" "$@"\n')
    python.chmod(0o755)
    assert CALLED in checkout.run("serve")


def test_too_old_a_python_is_named(checkout: MadeUpCheckout, tmp_path: Path) -> None:
    (checkout.folder / ".venv" / "installed" / "checkout").unlink()
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("dirname", "readlink", "cmp"):
        (programs / name).symlink_to(shutil.which(name) or name)
    old = programs / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit\nexit 1\n')
    old.chmod(0o755)
    failed = subprocess.run(
        ["/bin/sh", str(checkout.folder / "run"), "serve"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert failed.returncode == 1
    assert "Python 3.11 to 3.14 is needed" in failed.stderr
    assert "Python 3.9.2" in failed.stderr
