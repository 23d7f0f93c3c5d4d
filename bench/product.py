"""Tollbridge, running as a newcomer starts it, with the double as its provider."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import processes
from bench.child import ProgramFailed, running, tail
from bench.scenarios import MODELS
from bench.workload import MODEL

CHECKOUT: Final = Path(__file__).resolve().parent.parent
READY_SECONDS: Final = 120.0
NOT_INHERITED: Final = ("DATABASE_", "REDIS_URL", "ENVIRONMENT", "JWT_SECRET")
"""Settings by which a run would measure, and write to, something else than its own embedded services."""


@dataclass(frozen=True, slots=True)
class Product:
    """A started Tollbridge."""

    supervisor: int
    http_port: int
    grpc_port: int
    data_dir: Path


def forget_settings() -> None:
    """Takes those settings out of this process's environment, before anything of it reads them."""
    for name in [name for name in os.environ if name.startswith(NOT_INHERITED)]:
        del os.environ[name]


def configuration(ports: dict[str, int]) -> str:
    """The config file: one provider and model for each pace, priced so low that no run spends the first credit."""
    return "".join(
        f'[[providers]]\nname = "double-{index}"\nkind = "openai"\n'
        f'base_url = "http://127.0.0.1:{ports[pace]}/v1"\napi_key = "unused"\n'
        f'[[models]]\nname = "{model}"\nprovider = "double-{index}"\nupstream = "{MODEL}"\n'
        'input = "0.001"\noutput = "0.002"\ncontext = 128000\nmax_output = 16384\n'
        for index, (pace, model) in enumerate(MODELS.items())
    )


@contextmanager
def product(
    folder: Path, ports: dict[str, int], *, core: int, services_core: int, workers: int = 1
) -> Iterator[Product]:
    """Starts `serve` on a new data directory in `folder` and stops it afterwards.

    Our own processes run on `core`, PostgreSQL, Valkey and the local model on `services_core`.
    Raises ProgramFailed where it does not get ready.
    """
    config, ready, log = folder / "tollbridge.toml", folder / "ready.json", folder / "tollbridge.log"
    config.write_text(configuration(ports))
    command: list[str | Path] = [
        sys.executable,
        "-P",
        "-m",
        "cli",
        "serve",
        "--data-dir",
        folder / "data",
        "--config",
        config,
    ]
    command += ["--http-port", "0", "--grpc-port", "0", "--ready-file", ready, "--workers", str(workers)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    with (
        log.open("wb") as output,
        running(
            command,
            core=core,
            log=output,
            stop_signal=signal.SIGINT,
            environment=environment | {"PYTHONPATH": str(CHECKOUT)},
            reads_stdout=False,
        ) as process,
    ):
        facts = _wait_until_ready(process, ready, log)
        move_services(process.pid, {services_core})
        yield Product(
            supervisor=process.pid,
            http_port=_port(facts["http"]),
            grpc_port=_port(facts["grpc"]),
            data_dir=folder / "data",
        )


def move_services(supervisor: int, cores: set[int]) -> None:
    """Pins everything that is not Tollbridge's own to `cores`."""
    for name, members in processes.group(supervisor, processes.read_all()).items():
        if name not in {"supervisor", "worker"}:
            processes.move(members, cores)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, str]:
    deadline = time.monotonic() + READY_SECONDS
    while not ready.exists():
        if process.poll() is not None:
            raise ProgramFailed(f"serve ended with {process.returncode} before it was ready\n{tail(log)}")
        if time.monotonic() > deadline:
            raise ProgramFailed(f"serve was not ready within {READY_SECONDS:.0f} s\n{tail(log)}")
        time.sleep(0.05)
    facts: dict[str, str] = json.loads(ready.read_text())
    return facts


def _port(address: str) -> int:
    return int(address.rstrip("/").rpartition(":")[2])
