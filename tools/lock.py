"""Resolves the dependencies of pyproject.toml into `requirements/*.txt`, pinned by hash for every platform.

The versions that stand there are kept where they still fit; `--upgrade` takes the newest that fit. The files name no
registry: whoever installs chooses where from.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tools.programs import environment

CHECKOUT = Path(__file__).resolve().parent.parent
REQUIREMENTS = CHECKOUT / "requirements"
LOWEST_PYTHON = "3.11"
FORM = ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
# What goes into each file. Embedded parts come without their dependencies: pyproject.toml says why.
SOURCES = {
    "runtime": ["pyproject.toml"],
    "dev": ["pyproject.toml", "--group", "pyproject.toml:dev"],
    "embedded": ["--group", "pyproject.toml:embedded", "--no-deps"],
}


def compile_list(name: str, upgrade: bool) -> None:
    """Writes requirements/NAME.txt. Raises CalledProcessError where nothing fits."""
    command = ["uv", "pip", "compile", *SOURCES[name], *FORM, "--quiet", "--universal"]
    command += ["--python-version", LOWEST_PYTHON, "--output-file", str(REQUIREMENTS / f"{name}.txt")]
    command += ["--upgrade"] if upgrade else []
    subprocess.run(command, cwd=CHECKOUT, env=environment(), stdout=subprocess.DEVNULL, check=True)


def pinned(requirements: str, package: str) -> str:
    """One package's requirement with its hashes. Raises ValueError where it is not pinned."""
    found = re.search(rf"^{re.escape(package)}==(?:.*\\\n)*.*\n", requirements, re.MULTILINE)
    if found is None:
        raise ValueError(f"{package} is not among the requirements")
    return found[0]


def main(arguments: list[str]) -> None:
    for name in SOURCES:
        compile_list(name, "--upgrade" in arguments)
    bootstrap = pinned((REQUIREMENTS / "dev.txt").read_text("utf-8"), "uv")
    (REQUIREMENTS / "bootstrap.txt").write_text(bootstrap, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
