"""What the load is sent to: the double itself, the bare proxy, or Tollbridge."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import processes
from bench.accounts import make_accounts
from bench.child import read_line, running
from bench.product import move_services, product
from bench.scenarios import MODELS, PACES, Scenario
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
    """HTTP port by pace; a gateway has the same one for all and tells the paces apart by model."""
    keys: Path
    root: int = 0
    """Pid of the process whose tree is measured; 0: none."""
    grpc_port: int = 0
    parts: Split | None = None
    """The two processes of a split, which have no supervisor."""
    notes: tuple[str, ...] = ()
    data_dir: Path = Path()
    """Where a Tollbridge keeps its data."""
    foreign: bool = False
    """Another's gateway, whose failures are told and end nothing."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The model to ask for by pace, where it is not the usual one."""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What every request says besides, by pace, for gateways that are told by headers where to go."""

    def serves(self, scenario: Scenario) -> bool:
        """Whether the scenario makes sense here."""
        return bool(self.grpc_port) if scenario.grpc else scenario.pace in self.ports

    def model(self, scenario: Scenario) -> str:
        """The model to ask for."""
        return self.models.get(scenario.pace, MODEL)

    def read_cpu(self) -> dict[str, float]:
        """CPU seconds so far by group of processes."""
        if self.parts is not None:
            return self.parts.read_cpu()
        return processes.cpu_seconds(self.root) if self.root else {}

    def read_memory(self) -> dict[str, float]:
        """Resident megabytes now of the largest process of each group."""
        return processes.resident_megabytes(self.root) if self.root else {}


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
        accounts = make_accounts(started.data_dir, organizations, keys)
        move_services(started.supervisor, {services_core})
        yield Target(
            TOLLBRIDGE,
            dict.fromkeys(PACES, started.http_port),
            write_lines(folder / "keys", [key.secret for key in accounts]),
            root=started.supervisor,
            grpc_port=started.grpc_port,
            notes=(f"{keys:,} keys of {organizations:,} organizations",),
            models=MODELS,
            data_dir=started.data_dir,
        )


@contextmanager
def tollbridge_split(folder: Path, whole: Target, *, core: int) -> Iterator[Target]:
    """A bridge and a server over the database of `whole`, with its accounts."""
    with split(folder, folder / "data", core=core) as started:
        yield Target(SPLIT, dict.fromkeys(PACES, started.http_port), whole.keys, parts=started, models=MODELS)
