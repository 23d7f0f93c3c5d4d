"""`tollbridge server`, `bridge` and `jobs`, as processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.reach import reach
from tests.support.certificates import Authority
from tests.support.served import UNBOUNDED, Served, environment

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
ROOT_SECRET: Final = "Zk3vQ9rT1mXw7LbN5cJd8HfGyPqSaUeo0i"
BRIDGE_SECRET: Final = "b9XqW2eRt5YuI8oPa3SdF6gHj1KlZ4xCv7"


@dataclass(frozen=True)
class Running:
    """One process that is ready."""

    process: subprocess.Popen[bytes]
    facts: Mapping[str, str]
    """Its ready file."""
    log: Path

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; its exit status."""
        self.process.send_signal(how)
        return self.process.wait(STOP_SECONDS)

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines of one event so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]


def spawn(folder: Path, name: str, arguments: tuple[str, ...], variables: Mapping[str, str]) -> Running:
    """Starts a process, which may not become ready; its log and ready file lie in `folder`."""
    log, ready = folder / f"{name}.log", folder / f"{name}.ready"
    command = [sys.executable, "-P", "-m", "cli", *arguments, "--ready-file", str(ready)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(**{**UNBOUNDED, **variables}),
        )
    return Running(process, {}, log)


@contextmanager
def running(folder: Path, name: str, *arguments: str, **variables: str) -> Iterator[Running]:
    """The process, once it is ready; ended with the block, where the test has not ended it."""
    started = spawn(folder, name, arguments, variables)
    process, ready = started.process, folder / f"{name}.ready"
    try:
        give_up = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"{name} did not become ready ({process.poll()}):\n{started.log.read_text()}")
            time.sleep(0.02)
        yield Running(process, json.loads(ready.read_text()), started.log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def refused(folder: Path, name: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit status and words of a process that does not start."""
    started = spawn(folder, name, arguments, variables)
    try:
        return started.process.wait(START_SECONDS), started.log.read_text()
    finally:
        started.process.kill()
        started.process.wait()


@contextmanager
def split_of(served: Served, folder: Path) -> Iterator[tuple[Running, Running]]:
    """A server and a bridge before it, over the database, cache and root secret of a product that runs.

    Between them is TLS, and the bridge has the server's BRIDGE_SECRET.
    """
    pair = Authority(folder).issue("server")
    with reach(served.data_dir) as found:
        variables = {
            "DATABASE_URL": found.url,
            "REDIS_URL": f"unix://{served.data_dir}/valkey/socket/valkey.sock",
            "JWT_SECRET": found.secret_file.read_text(),
            "TOLLBRIDGE_WRONG_CREDENTIALS_PER_ADDRESS": "1000000",
            "TOLLBRIDGE_TRIAL_KEYS_PER_ADDRESS": "1000000",
        }
        options = ("--grpc-port", "0", "--data-dir", str(served.data_dir), "--no-jobs")
        tls = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
        with running(folder, "server", "server", *options, *tls, BRIDGE_SECRET=BRIDGE_SECRET, **variables) as core:
            port = core.facts["grpc"].rpartition(":")[2]
            towards = ("--target", f"localhost:{port}", "--target-ca", str(folder / "authority.pem"))
            more = {"BRIDGE_SECRET": BRIDGE_SECRET}
            with running(folder, "bridge", "bridge", "--http-port", "0", *towards, **more) as edge:
                yield core, edge
