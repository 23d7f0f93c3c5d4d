"""The C programs compile without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.native import FOLDER, CompilerError, compile_to


@pytest.mark.parametrize("name", ["double", "load"])
def test_compiles_without_warnings(name: str, tmp_path: Path) -> None:
    target = tmp_path / name

    compile_to(target, sorted((FOLDER / name).glob("*.c")))

    assert target.stat().st_mode & 0o100
    assert list(tmp_path.iterdir()) == [target]


def test_a_warning_is_an_error_that_shows_it(tmp_path: Path) -> None:
    source = tmp_path / "sloppy.c"
    source.write_text("int main(void) { int forgotten; return 0; }\n")

    with pytest.raises(CompilerError, match="forgotten"):
        compile_to(tmp_path / "sloppy", [source])


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CompilerError, match="gcc"):
        compile_to(tmp_path / "program", [tmp_path / "program.c"])
