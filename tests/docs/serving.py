"""A Tollbridge as a newcomer starts it, on free ports and a data directory of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tests.docs.checkout import CHECKOUT

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0
# The banner's first line; the ready file is written before it.
READY: Final = b"Bridge: "
# What configures a server in the shell that tests were started from.
CLEARED: Final = ("ENVIRONMENT", "DATABASE_", "REDIS_URL", "JWT_SECRET", "HOST", "PORT", "TOLLBRIDGE_")


@dataclass(frozen=True, slots=True)
class Served:
    """Where it listens, and the first start's key."""

    http_port: int
    grpc_port: int
    api_key: str


def environment(**extra: str) -> dict[str, str]:
    """Ours without what configures a server or a client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}
    return {**kept, **extra}


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Starts `serve` in a folder and stops it as Ctrl-C does; fails where it does not end with 0."""
    ready, log = folder / "ready.json", folder / "serve.log"
    command = [sys.executable, "-P", "-m", "cli", "serve", "--http-port", "0", "--grpc-port", "0"]
    with (
        log.open("wb") as complaints,
        subprocess.Popen(
            [*command, "--data-dir", folder / "data", "--ready-file", ready],
            cwd=CHECKOUT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process,
    ):
        try:
            _wait_for_banner(process.stdout, log)
            yield _facts(json.loads(ready.read_text("utf-8")))
            process.send_signal(signal.SIGINT)
            assert process.wait(STOP_SECONDS) == 0, log.read_text("utf-8")
        finally:
            process.kill()


def _facts(ready: Mapping[str, str]) -> Served:
    ports = [int(ready[name].rpartition(":")[2]) for name in ("http", "grpc")]
    return Served(ports[0], ports[1], ready["api_key"])


def _wait_for_banner(output: IO[bytes] | None, log: Path) -> None:
    assert output is not None
    said, give_up = b"", time.monotonic() + START_SECONDS
    while READY not in said:
        readable, _, _ = select.select([output], [], [], max(0.0, give_up - time.monotonic()))
        chunk = os.read(output.fileno(), 65536) if readable else b""
        assert chunk, f"serve is not ready: {log.read_text('utf-8')}"
        said += chunk
