"""Tollbridge in two processes: a bridge before a server, over the database of a product that runs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import processes
from bench.child import ProgramFailed, running, tail
from bench.product import CHECKOUT, NOT_INHERITED
from cli.reach import reach

READY_SECONDS: Final = 60.0
BRIDGE_SECRET: Final = "b9XqW2eRt5YuI8oPa3SdF6gHj1KlZ4xCv7"


@dataclass(frozen=True, slots=True)
class Split:
    """Both processes."""

    http_port: int
    server: int
    """Pid."""
    bridge: int
    """Pid."""

    def read_cpu(self) -> dict[str, float]:
        """CPU seconds so far of each."""
        found = processes.read_all()
        return {
            name: sum(process.cpu_seconds for process in processes.tree(pid, found))
            for name, pid in (("server", self.server), ("bridge", self.bridge))
        }


@contextmanager
def split(folder: Path, data_dir: Path, *, core: int) -> Iterator[Split]:
    """Starts both on `core` over the database of `data_dir`, and stops them afterwards. Raises ProgramFailed."""
    with reach(data_dir) as found:
        variables = {
            "DATABASE_URL": found.url,
            "REDIS_URL": f"unix://{data_dir}/valkey/socket/valkey.sock",
            "JWT_SECRET": found.secret_file.read_text(),
            "BRIDGE_SECRET": BRIDGE_SECRET,
        }
        server = ("server", "--grpc-port", "0", "--data-dir", str(data_dir), "--no-jobs")
        with _process(folder, server, variables, core) as (server_pid, facts):
            bridge = ("bridge", "--target", facts["grpc"], "--http-port", "0")
            with _process(folder, bridge, {"BRIDGE_SECRET": BRIDGE_SECRET}, core) as (bridge_pid, served):
                yield Split(int(served["http"].rpartition(":")[2]), server_pid, bridge_pid)


@contextmanager
def _process(
    folder: Path, arguments: Sequence[str], variables: dict[str, str], core: int
) -> Iterator[tuple[int, dict[str, str]]]:
    ready, log = folder / f"split-{arguments[0]}.json", folder / f"split-{arguments[0]}.log"
    command: list[str | Path] = [sys.executable, "-P", "-m", "cli", *arguments, "--ready-file", ready]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    environment = ours | {"PYTHONPATH": str(CHECKOUT)} | variables
    with (
        log.open("wb") as output,
        running(command, core=core, log=output, environment=environment, reads_stdout=False) as process,
    ):
        deadline = time.monotonic() + READY_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ProgramFailed(f"{arguments[0]} did not become ready\n{tail(log)}")
            time.sleep(0.05)
        yield process.pid, json.loads(ready.read_text())
