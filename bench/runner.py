"""Puts a run together: starts the targets on their cores, sends each kind of traffic to each, and collects."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import peers, processes
from bench.accounts import KEYS, ORGANIZATIONS
from bench.child import ProgramFailed
from bench.generator import Measurement, http_load, measure
from bench.provider import provider_double
from bench.scenarios import PACES, Scenario
from bench.targets import (
    BASELINE,
    DIRECT,
    SPLIT,
    TOLLBRIDGE,
    Target,
    bare_proxy,
    made_up_keys,
    tollbridge,
    tollbridge_split,
)
from bench.workload import chat_bodies, write_lines

PATIENCE: Final = 3.0
"""How many times longer other gateways may warm up: some load half of themselves at the first call."""
QUIET_LOAD_AVERAGE: Final = 0.3
"""Of the last minute; above it the run says that the machine was not idle."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    scenarios: Sequence[Scenario]
    targets: Sequence[str]
    """Names of targets; the double itself is always measured, as what all others add to."""
    seconds: float = 5.0
    warm_up: float = 1.0
    organizations: int = ORGANIZATIONS
    keys: int = KEYS
    services_on_product_core: bool = False
    """PostgreSQL and Valkey share Tollbridge's core instead of the load's."""
    peers: Sequence[str] = ()
    """Other gateways to measure beside it, see bench/peers/."""


@dataclass(frozen=True, slots=True)
class Result:
    """One kind of traffic on one target."""

    scenario: Scenario
    target: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory that a process of a target ever had."""

    target: str
    process: str
    megabytes: float


@dataclass(slots=True)
class Report:
    """All that a run found out."""

    results: list[Result] = field(default_factory=list)
    memory: list[Peak] = field(default_factory=list)
    """Of each target and the services it started, largest first within a group."""
    notes: list[str] = field(default_factory=list)

    def find(self, scenario: Scenario, target: str) -> Result | None:
        """What the target made of the scenario; None where it was not measured."""
        of_both = (one for one in self.results if one.scenario == scenario and one.target == target)
        return next(of_both, None)


class TooFewCores(Exception):
    """A run needs a core for what is measured and one for what measures."""


def two_cores() -> tuple[int, int]:
    """The core for what is measured, and the one for double and load. Raises TooFewCores."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise TooFewCores("the benchmark needs two cores, and this process may use only one")
    return cores[0], cores[1]


def run(plan: Plan, folder: Path, progress: Callable[[str], None]) -> Report:
    """Measures everything; `folder` takes logs, keys and the data directory.

    Raises CompilerError, ProgramFailed, TooFewCores.
    """
    product_core, load_core = two_cores()
    os.sched_setaffinity(0, {load_core})
    report = Report(notes=_disturbance(os.getloadavg()[0]))
    with ExitStack() as stack:
        targets = _start(plan, folder, stack, progress, product_core, load_core)
        for scenario in plan.scenarios:
            for target in targets:
                if not target.serves(scenario):
                    continue
                progress(f"{scenario.title}: {target.name}")
                try:
                    measurement = measure_target(plan, folder, scenario, target, load_core)
                except ProgramFailed as failure:
                    if not target.foreign:
                        raise
                    report.notes.append(f"{target.name}, {scenario.title}: {str(failure).splitlines()[0]}")
                    continue
                report.results.append(Result(scenario, target.name, measurement))
        for target in targets:
            report.notes += target.notes
            report.memory += _memory(target)
    return report


def _disturbance(load_average: float) -> list[str]:
    """A note where other work shares the cores: it makes every CPU microsecond dearer, by caches and by waking up."""
    if load_average < QUIET_LOAD_AVERAGE:
        return []
    return [
        f"the machine was busy before the run (load average {load_average:.1f}): compare multiples, not microseconds"
    ]


def _start(
    plan: Plan, folder: Path, stack: ExitStack, progress: Callable[[str], None], product_core: int, load_core: int
) -> list[Target]:
    # The double bounds its own life: it must outlast the run, start-up and account making included.
    bound = int(300 + len(plan.scenarios) * (len(plan.targets) + 1) * (plan.seconds + plan.warm_up + 5))
    double = provider_double(PACES, core=load_core, log=folder / "double.log", seconds=bound)
    ports = dict(zip(PACES, stack.enter_context(double), strict=True))
    targets = [Target(DIRECT, ports, made_up_keys(folder))]
    if BASELINE in plan.targets:
        progress("starting the bare proxy")
        targets.append(stack.enter_context(bare_proxy(folder, ports, core=product_core)))
    if TOLLBRIDGE in plan.targets or SPLIT in plan.targets:
        progress("starting Tollbridge, making organizations and keys")
        started = tollbridge(
            folder,
            ports,
            core=product_core,
            services_core=product_core if plan.services_on_product_core else load_core,
            organizations=plan.organizations,
            keys=plan.keys,
        )
        whole = stack.enter_context(started)
        targets.append(whole)
        if SPLIT in plan.targets:
            progress("starting a server and a bridge")
            targets.append(stack.enter_context(tollbridge_split(folder, whole, core=product_core)))
    targets += peers.start(plan.peers, folder, ports, stack, core=product_core, progress=progress)
    return targets


def measure_target(
    plan: Plan, folder: Path, scenario: Scenario, target: Target, load_core: int, rate: float | None = None
) -> Measurement:
    """Sends one kind of traffic to one target; `rate` as `http_load` takes it. Raises CompilerError, ProgramFailed."""
    log, warm_up = folder / "load.log", plan.warm_up if scenario.warm_up is None else scenario.warm_up
    if target.foreign:
        warm_up *= PATIENCE
    if scenario.grpc:
        command = [sys.executable, "-m", "bench.grpc_streams", "--port", str(target.grpc_port)]
        command += ["--keys", str(target.keys), "--connections", str(scenario.connections)]
        command += ["--tokens", str(scenario.tokens), "--warm-up", str(warm_up), "--seconds", str(plan.seconds)]
        return measure(command, core=load_core, log=log, read_cpu=target.read_cpu)
    bodies = None
    if scenario.tokens:
        lines = chat_bodies(stream=scenario.stream, max_tokens=scenario.tokens, model=target.model(scenario))
        bodies = write_lines(folder / "bodies", lines)
    command = http_load(
        target.ports[scenario.pace],
        keys=target.keys,
        bodies=bodies,
        path="/v1/chat/completions" if bodies else "/v1/models",
        connections=scenario.connections,
        warm_up=warm_up,
        seconds=plan.seconds,
        rate=rate,
        headers=target.headers.get(scenario.pace, ()),
    )
    return measure(command, core=load_core, log=log, read_cpu=target.read_cpu, read_memory=target.read_memory)


def _memory(target: Target) -> list[Peak]:
    found: list[Peak] = []
    groups = processes.group(target.root, processes.read_all())
    for name in ("supervisor", "worker", "postgresql", "valkey", "model"):
        peaks = [processes.peak_megabytes(process.pid) for process in groups.get(name, ())]
        found += [Peak(target.name, name, peak) for peak in sorted(peaks, reverse=True)]
    return found
