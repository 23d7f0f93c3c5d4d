"""The checks say which step failed, and the layers are what they claim to be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tools import check
from tools.generate import differences, replace
from tools.import_contracts import MeetingPoint
from tools.lock import pinned
from tools.programs import environment


def printing(text: str, status: int) -> list[str]:
    return [sys.executable, "-c", f"print({text!r}); raise SystemExit({status})"]


def test_a_failing_step_is_named_with_its_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "STEPS", {"good": printing("unheard", 0), "bad": printing("because", 3)})
    assert check.main([]) == 1
    printed = capsys.readouterr().out
    assert "ok      good" in printed
    assert "FAILED  bad" in printed
    assert "because" in printed
    assert "unheard" not in printed
    assert printed.endswith("check: bad failed\n")


def test_steps_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "STEPS", {"good": printing("", 0), "bad": printing("", 3)})
    assert check.main(["good"]) == 0
    assert check.main(["unknown"]) == 2


@pytest.mark.parametrize(("tag", "passes"), [("3", True), ("33", False)])
def test_a_change_that_breaks_callers_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tag: str, passes: bool
) -> None:
    (tmp_path / "proto" / "a").mkdir(parents=True)
    (tmp_path / "third_party").mkdir()
    (tmp_path / "buf.yaml").write_bytes((check.CHECKOUT / "buf.yaml").read_bytes())
    message = tmp_path / "proto" / "a" / "a.proto"
    message.write_text('syntax = "proto3";\npackage a;\nmessage A {\n  string name = 3;\n}\n')
    build = ["buf", "build", "proto", "--output", check.RELEASED]
    subprocess.run(build, cwd=tmp_path, env=environment(), check=True, timeout=30)
    message.write_text(message.read_text().replace("= 3;", f"= {tag};"))
    monkeypatch.setattr(check, "CHECKOUT", tmp_path)
    assert check.run_step("proto-breaking").passed is passes


def test_generated_files_are_compared_and_brought_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"1")
    (tmp_path / "same").write_bytes(b"2")
    made = {"new/er": b"3", "same": b"2"}
    changed = differences(made, {"old": b"1", "same": b"2"})
    assert changed == ["new/er", "old"]
    replace(tmp_path, made, changed)
    assert (tmp_path / "new" / "er").read_bytes() == b"3"
    assert not (tmp_path / "old").exists()


def test_a_pin_is_taken_with_its_hashes_only() -> None:
    text = "ab==1 \\\n    --hash=x\nb==2 \\\n    --hash=y \\\n    --hash=z\nc==3 \\\n    --hash=w\n"
    assert pinned(text, "b") == "b==2 \\\n    --hash=y \\\n    --hash=z\n"
    with pytest.raises(ValueError, match="d is not among"):
        pinned(text, "d")


@pytest.mark.parametrize(("importer", "kept"), [("cli.meeting", True), ("cli.other", False), ("tests.other", True)])
def test_two_packages_meet_only_where_they_may(importer: str, kept: bool) -> None:
    graph = grimp.ImportGraph()
    for module in (importer, "bridge.a", "server.b"):
        graph.add_module(module)
    for imported in ("bridge.a", "server.b"):
        graph.add_import(importer=importer, imported=imported)
    options = {"package": "cli", "left": "bridge", "right": "server", "allowed": ["cli.meeting"]}
    contract = MeetingPoint(name="meeting", session_options={}, contract_options=options)
    assert contract.check(graph, verbose=False).kept is kept
