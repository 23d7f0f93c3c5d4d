"""What may and may not be committed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.toolchain.checkout import CHECKOUT

# In pieces, so that this file does not hold what it looks for.
REGISTRIES = ("pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.(?:org|com)", "deb" + r"\.debian\.org")
ADDRESS = re.compile("|".join(REGISTRIES).encode())
UNFINISHED = re.compile(rb"<<<" + rb"<<<< |>>>" + rb">>>> ")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout


def committed() -> list[Path]:
    names = git("ls-files", "-z").split("\0")
    return [path for name in names if name and (path := CHECKOUT / name).is_file()]


@pytest.mark.parametrize("pattern", [ADDRESS, UNFINISHED], ids=["registry", "merge"])
def test_no_file_names_a_registry_or_holds_a_conflict(pattern: re.Pattern[bytes]) -> None:
    assert [str(path) for path in committed() if pattern.search(path.read_bytes())] == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    places = {str(CHECKOUT), str(Path.home())} - {"/", "/root", "/app"}
    paths = re.compile("|".join(re.escape(place) + r"(?![\w-])" for place in sorted(places)).encode())
    assert [str(path) for path in committed() if paths.search(path.read_bytes())] == []


@pytest.mark.parametrize("name", ["uv.lock", ".venv/x", ".venv.lock", "data/x", "server/__pycache__/x.pyc"])
def test_what_is_made_is_not_committed(name: str) -> None:
    assert git("check-ignore", name).strip() == name


@pytest.mark.parametrize("name", ["LICENSE", "third_party/google/LICENSE", "third_party/buf/LICENSE"])
def test_licences_are_there(name: str) -> None:
    text = (CHECKOUT / name).read_text("utf-8")
    assert ("MIT License" if name == "LICENSE" else "Apache License") in text


@pytest.mark.parametrize("name", ["bootstrap", "dev", "embedded", "runtime"])
def test_every_requirement_is_pinned_by_hash(name: str) -> None:
    text = (CHECKOUT / "requirements" / f"{name}.txt").read_text("utf-8")
    requirements = [entry for entry in re.split(r"\n(?! )", text) if entry.strip()]
    assert requirements
    assert [entry for entry in requirements if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_uv_is_bootstrapped_at_the_version_that_is_then_installed() -> None:
    requirements = CHECKOUT / "requirements"
    assert (requirements / "bootstrap.txt").read_text("utf-8") in (requirements / "dev.txt").read_text("utf-8")
