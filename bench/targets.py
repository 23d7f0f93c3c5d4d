"""What the load is sent to: the double itself, the bare proxy, or Tollbridge."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import processes
from bench.accounts import make_accounts
from bench.child import read_line, running
from bench.product import move_services, product
from bench.rest import Rest
from bench.scenarios import BURST, BURST_MODEL, PACED, Scenario
from bench.split import Split, split
from bench.workload import MODEL, write_lines

DIRECT: Final = "double"
BASELINE: Final = "bare proxy"
TOLLBRIDGE: Final = "Tollbridge"
SPLIT: Final = "Tollbridge, split"
"""A bridge and a server, two processes, over the same database."""
OWN_GROUPS: Final = ("supervisor", "worker", "server", "bridge")
"""The groups whose CPU time is the target's own."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server to load."""

    name: str
    ports: dict[str, int]
    """HTTP port by pace; Tollbridge has the same one twice and tells the paces apart by model."""
    keys: Path
    root: int = 0
    """Pid of the process whose tree is measured; 0: none."""
    grpc_port: int = 0
    parts: Split | None = None
    """The two processes of a split, which have no supervisor."""
    notes: tuple[str, ...] = ()

    def serves(self, scenario: Scenario) -> bool:
        """Whether the scenario makes sense here."""
        return bool(self.grpc_port) if scenario.grpc else True

    def model(self, scenario: Scenario) -> str:
        """The model to ask for."""
        return BURST_MODEL if scenario.pace == BURST and self.name in {TOLLBRIDGE, SPLIT} else MODEL

    def read_cpu(self) -> dict[str, float]:
        """CPU seconds so far by group of processes."""
        if self.parts is not None:
            return self.parts.read_cpu()
        return processes.cpu_seconds(self.root) if self.root else {}


def made_up_keys(folder: Path) -> Path:
    """Keys that look like ours, for servers that do not check any."""
    return write_lines(folder / "made-up-keys", [f"tb_live_{number:064d}" for number in range(100)])


@contextmanager
def bare_proxy(folder: Path, ports: dict[str, int], *, core: int) -> Iterator[Target]:
    """The yardstick, see baseline_proxy.py."""
    log = folder / "baseline.log"
    command = [sys.executable, "-m", "bench.baseline_proxy", *map(str, ports.values())]
    with log.open("wb") as output, running(command, core=core, log=output) as process:
        listening = json.loads(read_line(process, log))["ports"]
        yield Target(BASELINE, dict(zip(ports, listening, strict=True)), made_up_keys(folder), root=process.pid)


@contextmanager
def tollbridge(
    folder: Path,
    ports: dict[str, int],
    *,
    core: int,
    services_core: int,
    organizations: int,
    keys: int,
    workers: int = 1,
) -> Iterator[Target]:
    """Tollbridge with its embedded services and as many accounts as asked for."""
    with product(folder, ports, core=core, services_core=services_core, workers=workers) as started:
        with Rest(started.http_port) as rest:
            accounts = make_accounts(
                rest, started.api_key, started.administrator, organizations=organizations, keys=keys
            )
        move_services(started.supervisor, services_core)
        made = f"{len(accounts.keys)} keys of {accounts.organizations} organizations"
        yield Target(
            TOLLBRIDGE,
            dict.fromkeys((PACED, BURST), started.http_port),
            write_lines(folder / "keys", accounts.keys),
            root=started.supervisor,
            grpc_port=started.grpc_port,
            notes=(made, *accounts.notes),
        )


@contextmanager
def tollbridge_split(folder: Path, whole: Target, *, core: int) -> Iterator[Target]:
    """A bridge and a server over the database of `whole`, with its accounts."""
    with split(folder, folder / "data", core=core) as started:
        yield Target(SPLIT, dict.fromkeys((PACED, BURST), started.http_port), whole.keys, parts=started)
