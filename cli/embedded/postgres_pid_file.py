"""Reading `postmaster.pid`: whether the server is ready, and whether the file is left over from a dead one."""

import os
from pathlib import Path
from typing import Final

from cli.embedded.errors import EmbeddedServiceError

# Line numbers of miscadmin.h: LOCK_FILE_LINE_PID and LOCK_FILE_LINE_PM_STATUS, from zero.
PID_LINE: Final = 0
STATUS_LINE: Final = 7


def is_ready(data: Path, pid: int) -> bool:
    """Whether the server `pid` says in its pid file that it accepts connections."""
    lines = _lines(data)
    return len(lines) > STATUS_LINE and lines[PID_LINE] == str(pid) and lines[STATUS_LINE].strip() == "ready"


def clear_stale_pid_file(data: Path) -> None:
    """Removes a pid file whose process is no PostgreSQL on `data`.

    PostgreSQL itself only asks whether the number is in use, and takes any process that got it since for a server.
    Raises EmbeddedServiceError when a server that does not hold the folder's lock, as one started by hand, runs there.
    """
    lines = _lines(data)
    if not lines:
        return
    pid = int(lines[PID_LINE]) if lines[PID_LINE].isdigit() else 0
    if pid > 0 and _serves(pid, data):
        raise EmbeddedServiceError(f"Another PostgreSQL (process {pid}) runs on {data}.")
    (data / "postmaster.pid").unlink(missing_ok=True)


def _lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _serves(pid: int, data: Path) -> bool:
    process = Path("/proc") / str(pid)
    try:
        if (process / "comm").read_text().strip() != "postgres":
            return False
        return os.readlink(process / "cwd") == str(data.resolve())
    except OSError:
        # Gone, or somebody else's, who cannot have our folder of mode 0700 open.
        return False
