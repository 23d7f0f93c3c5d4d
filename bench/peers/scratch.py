"""Installing a peer into a scratch folder, and waiting until it answers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from bench.child import ProgramFailed, tail

INSTALL_SECONDS: Final = 900.0
READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.1


def find(program: str) -> str:
    """Where the program is. Raises ProgramFailed where there is none on PATH."""
    found = shutil.which(program)
    if found is None:
        raise ProgramFailed(f"there is no {program} here")
    return found


def install(command: Sequence[str | Path]) -> None:
    """Runs an installer to its end. Raises ProgramFailed with its last words, or where it takes too long."""
    name = Path(str(command[0])).name
    try:
        finished = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{name} did not end within {INSTALL_SECONDS:.0f} s") from error
    if finished.returncode:
        raise ProgramFailed(f"{name} ended with {finished.returncode}\n{finished.stdout}")


def free_port() -> int:
    """A port that nobody listens on just now, for programs that cannot choose one themselves."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until_ready(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    """Returns when the program answers the path with 200. Raises ProgramFailed where it ends or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(port, path):
        if process.poll() is not None:
            raise ProgramFailed(f"it ended with {process.returncode} before it was ready\n{tail(log)}")
        if time.monotonic() > deadline:
            raise ProgramFailed(f"it was not ready within {READY_SECONDS:.0f} s\n{tail(log)}")
        time.sleep(_POLL_SECONDS)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
