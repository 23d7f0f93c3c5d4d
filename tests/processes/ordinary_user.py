"""Running our code as an ordinary user from a test that root runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

USER_ID: Final = 1000


@dataclass(frozen=True)
class OrdinaryUser:
    """A user, and an interpreter with our packages that the user may run."""

    id: int
    python: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make our packages importable to `python`."""
        return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "HOME": "/"}

    def run(self, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Runs the interpreter to its end, for a minute at most, in `folder`."""
        return subprocess.run(
            [self.python, "-P", "-B", *arguments],
            user=self.id,
            group=self.id,
            extra_groups=[],
            cwd=folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def find_ordinary_user(folder: Path) -> OrdinaryUser | None:
    """A user with this interpreter, or with the system's of the same version where this one lies in a closed home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        if python is None:
            continue
        user = OrdinaryUser(USER_ID, python)
        try:
            if user.run(["-c", "import asyncpg, cli.embedded, tests.processes"], folder).returncode == 0:
                return user
        except PermissionError:
            continue
    return None
