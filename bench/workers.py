"""Several workers beside one: what they carry, and what is lost when one of them is killed under load.

On two cores there is none left for the load. So all workers share the product's core in both runs, and CPU time is
compared: a request that costs two workers as much as it costs one is carried twice as often by two cores. Both are
measured in turn, and the least of each counts: whatever else the machine does only adds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event
from typing import Final

from bench import processes
from bench.child import ProgramFailed
from bench.provider import provider_double
from bench.runner import Plan, measure_target, two_cores
from bench.scenarios import PACED, PACES, chosen
from bench.targets import OWN_GROUPS, Target, tollbridge

GOAL_CARRIED: Final = 1.7
"""Times one worker's load that two must carry."""
GOAL_BACK_SECONDS: Final = 2.0
CALLERS: Final = 8
"""Each with one call under way at most."""
ROUNDS: Final = 3
PAUSE_SECONDS: Final = 0.04
_BACK_WITHIN_SECONDS: Final = 60.0
_SERVES_AGAIN: Final = b"serves again"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a kill cost."""

    calls: int
    """Calls in all, from a second before the kill until a second after the return."""
    lost: int
    back_seconds: float
    """From the kill until another worker served in its place."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One worker and several, under the same traffic."""

    workers: int
    cost_of_one: float
    """CPU microseconds of supervisor and worker a request."""
    cost_of_several: float
    shares: list[float]
    """Each worker's share of the workers' CPU time, largest first."""
    loss: Loss

    @property
    def carried(self) -> float:
        """How many times one worker's load the several carry, a core each."""
        return self.workers * self.cost_of_one / self.cost_of_several

    def lines(self) -> list[str]:
        """For people."""
        shares = ", ".join(f"{share:.0%}" for share in self.shares)
        loss = self.loss
        return [
            f"one worker: {self.cost_of_one:.0f} us CPU a request",
            f"{self.workers} workers: {self.cost_of_several:.0f} us CPU a request, of which each took {shares}",
            f"{self.workers} workers with a core each carry {self.carried:.2f} times one (goal for 2: {GOAL_CARRIED})",
            f"killed at {CALLERS / PAUSE_SECONDS:.0f} calls/s: {loss.lost} of {loss.calls} lost, {CALLERS} callers",
            f"its place was taken again after {loss.back_seconds:.2f} s (goal {GOAL_BACK_SECONDS:g})",
        ]

    def to_json(self) -> dict[str, object]:
        """Plain values for the JSON file."""
        return {**asdict(self), "carried": self.carried}


def compare(plan: Plan, workers: int, folder: Path, progress: Callable[[str], None]) -> Comparison:
    """Measures one worker, then several. Raises CompilerError, ProgramFailed, TooFewCores."""
    product_core, load_core = two_cores()
    os.sched_setaffinity(0, {load_core})
    with ExitStack() as stack:
        double = provider_double(PACES, core=load_core, log=folder / "double.log", seconds=900)
        ports = dict(zip(PACES, stack.enter_context(double), strict=True))

        def started(count: int) -> Target:
            own = folder / f"workers-{count}"
            own.mkdir()
            context = tollbridge(
                own,
                ports,
                core=product_core,
                services_core=load_core,
                organizations=plan.organizations,
                keys=plan.keys,
                workers=count,
            )
            return stack.enter_context(context)

        progress("starting")
        alone, several = started(1), started(workers)
        ones: list[float] = []
        rounds: list[tuple[float, list[float]]] = []
        for turn in range(ROUNDS):
            progress(f"round {turn + 1} of {ROUNDS}")
            ones.append(_measure(plan, folder, alone, load_core)[0])
            rounds.append(_measure(plan, folder, several, load_core))
        progress("a worker is killed under load")
        os.sched_setaffinity(several.root, {product_core, load_core})
        loss = _kill_one(several, folder / f"workers-{workers}" / "tollbridge.log")
    cost, shares = min(rounds)
    return Comparison(workers, min(ones), cost, shares, loss)


def _measure(plan: Plan, folder: Path, target: Target, load_core: int) -> tuple[float, list[float]]:
    """CPU microseconds a request, and each worker's share of them."""
    before = _cpu_of_workers(target)
    measurement = measure_target(plan, folder, chosen(["unary-64"])[0], target, load_core)
    cost = measurement.microseconds_per_request(*OWN_GROUPS)
    if not cost:
        raise ProgramFailed("no request was answered")
    return cost, _shares(before, _cpu_of_workers(target))


def _cpu_of_workers(target: Target) -> dict[int, float]:
    workers = processes.group(target.root, processes.read_all())["worker"]
    return {worker.pid: worker.cpu_seconds for worker in workers}


def _shares(before: dict[int, float], after: dict[int, float]) -> list[float]:
    took = [seconds - before.get(pid, 0.0) for pid, seconds in after.items()]
    return sorted((each / sum(took) for each in took), reverse=True)


def _kill_one(target: Target, log: Path) -> Loss:
    """Kills a worker while callers on kept-alive connections call steadily, and waits for its successor."""
    stop = Event()
    key = target.keys.read_text().split()[0]
    with ThreadPoolExecutor(CALLERS) as threads:
        calling = [threads.submit(_call_until, stop, target.ports[PACED], key) for _ in range(CALLERS)]
        time.sleep(1.0)
        begin = time.monotonic()
        os.kill(next(iter(_cpu_of_workers(target))), signal.SIGKILL)
        try:
            while _SERVES_AGAIN not in log.read_bytes():
                if time.monotonic() - begin > _BACK_WITHIN_SECONDS:
                    raise ProgramFailed("the killed worker's place stayed empty")
                time.sleep(0.01)
            back = time.monotonic() - begin
            time.sleep(1.0)
        finally:
            stop.set()
        counts = [call.result() for call in calling]
    return Loss(sum(made for made, _ in counts), sum(lost for _, lost in counts), back)


def _call_until(stop: Event, port: int, key: str) -> tuple[int, int]:
    """Calls made and calls lost; a lost one is not tried again."""
    made = lost = 0
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.wait(PAUSE_SECONDS):
        made += 1
        try:
            connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            answer.read()
            lost += answer.status != 200
        except (OSError, HTTPException):
            lost += 1
            connection.close()
    connection.close()
    return made, lost
