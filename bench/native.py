"""Compiles the C programs of the benchmarks when they are first needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
BUILD: Final = FOLDER / "build" if os.access(FOLDER, os.W_OK) else Path.home() / ".cache" / "tollbridge-bench"
"""Ignored by git; where the checkout belongs to somebody else, a cache of one's own."""
FLAGS: Final = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


class CompilerError(Exception):
    """There is no C compiler, or it refused a program; the text says which."""


def program(name: str) -> Path:
    """The compiled program of `bench/<name>/*.c`, compiled anew where a source is newer.

    Raises:
        CompilerError: no compiler on PATH (nor in CC), or the sources do not compile without warnings.
    """
    sources = sorted((FOLDER / name).glob("*.c"))
    target = BUILD / name
    newest = max(path.stat().st_mtime_ns for path in (FOLDER / name).iterdir())
    if target.exists() and target.stat().st_mtime_ns > newest:
        return target
    compile_to(target, sources)
    return target


def compile_to(target: Path, sources: list[Path]) -> None:
    """Compiles into `target` by rename, so that two runs at once do not see each other's half. Raises CompilerError."""
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if compiler is None:
        raise CompilerError("a C compiler is needed for the benchmarks: install gcc, or name one in CC")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    command = [compiler, *FLAGS, "-o", str(partial), *map(str, sources), "-lm"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CompilerError(f"{target.name} does not compile:\n{finished.stderr}")
    partial.replace(target)
