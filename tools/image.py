"""Follows the Dockerfile in an empty folder, where no container engine is: `./run image [FOLDER]`.

Each stage becomes a folder, in which COPY copies and RUN runs with its absolute paths below that folder. What takes
root (users, owners) is left out, and so is what only an engine does (limits, networks). The base image's place is taken
by this Python.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools import dockerfile
from tools.dockerfile import Instruction, Stage

CHECKOUT: Final = Path(__file__).resolve().parent.parent
OURS: Final = ("/app", "/venv", "/data")
"""Folders of the image that are not the base image's."""
NEEDS_ROOT: Final = ("groupadd", "useradd", "chown")


@dataclass(frozen=True)
class Built:
    """What the last stage left."""

    root: Path
    environment: Mapping[str, str]
    """Its ENV, with paths below `root`."""
    command: Sequence[str]
    """ENTRYPOINT and CMD."""
    user: str
    skipped: Sequence[str]
    """Commands that were left out."""


@dataclass
class _Folder:
    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""


class Follower:
    """Carries a Dockerfile out in `folder`."""

    def __init__(self, context: Path, folder: Path, instead: Mapping[str, str] | None = None) -> None:
        """`instead` has other commands for those that begin so, for whoever has installed already."""
        self._context = context
        self._folder = folder
        self._instead = instead or {}
        self._ignored = (context / ".dockerignore").read_text().split("\n")
        self._stages: dict[str, _Folder] = {}
        self._skipped: list[str] = []

    def build(self) -> Built:
        """Follows every stage. Raises CalledProcessError where a command fails, OSError where a file is not there."""
        stages = dockerfile.read((self._context / "Dockerfile").read_text())
        for number, stage in enumerate(stages):
            self._follow(stage, stage.name or str(number))
        last, made = stages[-1], self._stages[stages[-1].name or str(len(stages) - 1)]
        parts = [found.words for name in ("ENTRYPOINT", "CMD") if (found := last.last(name)) is not None]
        environment = {name: _below(made.root, value) for name, value in made.environment.items()}
        return Built(made.root, environment, [word for part in parts for word in part], made.user, self._skipped)

    def _follow(self, stage: Stage, name: str) -> None:
        made = self._stages[name] = _Folder(self._folder / name)
        made.root.mkdir()
        for instruction in stage.instructions:
            match instruction.name:
                case "WORKDIR":
                    made.workdir = instruction.text
                    _inside(made, ".").mkdir(parents=True, exist_ok=True)
                case "ENV":
                    made.environment |= dict(word.split("=", 1) for word in instruction.words)
                case "USER":
                    made.user = instruction.text
                case "COPY":
                    self._copy(made, instruction)
                case "RUN":
                    self._run(made, instruction.text)

    def _copy(self, made: _Folder, instruction: Instruction) -> None:
        flags = [word for word in instruction.words if word.startswith("--")]
        source, target = (word for word in instruction.words if not word.startswith("--"))
        origin = next(
            (self._stages[flag.removeprefix("--from=")] for flag in flags if flag.startswith("--from=")), None
        )
        found = self._context / source if origin is None else _inside(origin, source)
        placed = _inside(made, target)
        placed.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            leave = None if origin is not None else self._leave
            shutil.copytree(found, placed, symlinks=True, ignore=leave, dirs_exist_ok=True)
            return
        if origin is None and not self._sent(source):
            raise FileNotFoundError(f".dockerignore keeps {source} out of the image")
        shutil.copy2(found, placed)

    def _run(self, made: _Folder, text: str) -> None:
        for command in re.split(r"\s&&\s", text):
            if command.startswith(NEEDS_ROOT):
                self._skipped.append(command)
                continue
            command = next((new for start, new in self._instead.items() if command.startswith(start)), command)
            if not command:
                continue
            shell = ["sh", "-euc", _below(made.root, command)]
            path = f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
            environment = {**os.environ, **made.environment, "PATH": _below(made.root, f"/venv/bin:{path}")}
            environment.pop("VIRTUAL_ENV", None)
            subprocess.run(shell, cwd=_inside(made, "."), env=environment, check=True)

    def _sent(self, path: str) -> bool:
        """Whether .dockerignore lets a path of the context through: the last pattern that fits decides."""
        parents = [path, *(str(parent) for parent in Path(path).parents)]
        sent = True
        for pattern in self._ignored:
            wanted, plain = pattern.startswith("!"), pattern.removeprefix("!").strip()
            if plain and not plain.startswith("#") and any(_fits(each, plain) for each in parents):
                sent = wanted
        return sent

    def _leave(self, folder: str, names: list[str]) -> list[str]:
        inside = Path(folder).relative_to(self._context)
        return [name for name in names if not self._sent(str(inside / name))]


def _fits(path: str, pattern: str) -> bool:
    return fnmatch.fnmatch(path, pattern) or (pattern.startswith("**/") and fnmatch.fnmatch(path, pattern[3:]))


def _inside(made: _Folder, path: str) -> Path:
    return made.root / os.path.normpath(os.path.join(made.workdir, path)).lstrip("/")


def _below(root: Path, text: str) -> str:
    """The text with the image's own folders below `root`."""
    names = "|".join(name.lstrip("/") for name in OURS)
    return re.sub(rf"(?<![\w.\-/])/({names})(?=[/:\s]|$)", lambda match: f"{root}/{match[1]}", text)


def main(arguments: Sequence[str]) -> int:
    """Builds, shows what came of it, and runs the command."""
    with tempfile.TemporaryDirectory(prefix="tollbridge-image-") as scratch:
        built = Follower(CHECKOUT, Path(arguments[0]) if arguments else Path(scratch)).build()
        size = sum(file.lstat().st_size for file in built.root.rglob("*") if file.is_file())
        print(f"the last stage has {size / 1e6:.0f} MB beside the base image; left out: {'; '.join(built.skipped)}")
        environment = {**os.environ, **built.environment}
        environment["PATH"] = f"{built.root}/venv/bin:{os.environ['PATH']}"
        return subprocess.run(built.command, env=environment, cwd=built.root / "data", check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
