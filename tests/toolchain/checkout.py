"""A made-up checkout: the real `run` and bootstrap, with an environment that costs nothing to make."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap import LISTS, Environment

CHECKOUT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class MadeUpCheckout:
    """A folder where `./run` works and nothing is installed: its environment borrows this one's packages."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> MadeUpCheckout:
        """Makes one with a current environment. Its `serve` prints its process id and its arguments."""
        for name in ("run", "pyproject.toml"):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)
        for package in ("cli", "requirements", "tools"):
            (folder / package).mkdir()
        for name in ("__init__.py", "list_tasks.py"):
            shutil.copy(CHECKOUT / "tools" / name, folder / "tools" / name)
        (folder / "tools" / "bootstrap.py").write_text("print('bootstrap was called')")
        (folder / "cli" / "__main__.py").write_text("import os, sys\nprint(os.getpid(), os.getcwd(), *sys.argv[1:])")
        for name in LISTS:
            (folder / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
        made = cls(folder)
        made.install()
        return made

    def install(self) -> None:
        """Makes its environment, as the bootstrap would leave it."""
        environment = Environment(self.folder)
        shutil.rmtree(environment.folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment.folder)], check=True)
        packages = next((environment.folder / "lib").glob("python3.*/site-packages"))
        (packages / "made_up.pth").write_text(f"{self.folder}\n{sysconfig.get_path('purelib')}\n")
        environment.remember()

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Starts `./run` with arguments."""
        return subprocess.Popen(
            [str(self.folder / "run"), *arguments],
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Runs `./run` to its end and returns everything it printed."""
        with self.start(*arguments, cwd=cwd) as process:
            printed, complaints = process.communicate(timeout=30)
        return printed + complaints
