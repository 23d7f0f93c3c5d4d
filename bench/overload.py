"""What is left of the work when three times as many calls come as can be served.

First the highest rate is found: connections that each send the next call as soon as the last is answered. Then calls
come at three times that rate, whether or not earlier ones are answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from bench.provider import provider_double
from bench.runner import Plan, measure_target, two_cores
from bench.scenarios import PACES, chosen
from bench.targets import tollbridge

TIMES: Final = 3.0
CONNECTIONS: Final = 600
GOAL_KEPT: Final = 0.8
GOAL_REFUSAL_MILLISECONDS: Final = 50.0


@dataclass(frozen=True, slots=True)
class Overloaded:
    """What came of it. Rates are calls a second, latencies milliseconds."""

    highest_rate: float
    offered_rate: float
    served_rate: float
    served_p50: float
    served_p99: float
    turned_away_rate: float
    refusal_p50: float
    refusal_p99: float
    unsent_rate: float
    """Calls that came due while all connections waited."""

    @property
    def kept(self) -> float:
        """The part of the highest rate that is served still."""
        return self.served_rate / self.highest_rate

    def lines(self) -> list[str]:
        """For people."""
        served = f"{self.served_p50:,.0f} ms at p50 and {self.served_p99:,.0f} at p99"
        refusals = f"{self.refusal_p50:,.0f} ms at p50 and {self.refusal_p99:,.0f} at p99"
        return [
            f"the highest rate is {self.highest_rate:,.0f} calls a second; offered were {self.offered_rate:,.0f}",
            f"{self.served_rate:,.0f} were served, {self.kept:.0%} of the highest (goal {GOAL_KEPT:.0%}), in {served}",
            f"{self.turned_away_rate:,.0f} were turned away, in {refusals} (goal {GOAL_REFUSAL_MILLISECONDS:.0f})",
            f"{self.unsent_rate:,.0f} found none of {CONNECTIONS} connections free",
        ]

    def to_json(self) -> dict[str, object]:
        """Plain values for the JSON file."""
        return {**asdict(self), "kept": self.kept}


def overload(plan: Plan, folder: Path, progress: Callable[[str], None]) -> Overloaded:
    """Measures one worker. Raises CompilerError, ProgramFailed, TooFewCores."""
    product_core, load_core = two_cores()
    os.sched_setaffinity(0, {load_core})
    (scenario,) = chosen(["unary-64"])
    with ExitStack() as stack:
        double = provider_double(PACES, core=load_core, log=folder / "double.log", seconds=900)
        ports = dict(zip(PACES, stack.enter_context(double), strict=True))
        progress("starting")
        target = stack.enter_context(
            tollbridge(
                folder,
                ports,
                core=product_core,
                services_core=load_core,
                organizations=plan.organizations,
                keys=plan.keys,
            )
        )
        progress("the highest rate")
        highest = measure_target(plan, folder, scenario, target, load_core).load.requests_per_second
        progress(f"{TIMES:g} times as much")
        crowd = replace(scenario, connections=CONNECTIONS)
        load = measure_target(plan, folder, crowd, target, load_core, rate=TIMES * highest).load
    return Overloaded(
        highest_rate=highest,
        offered_rate=TIMES * highest,
        served_rate=load.requests_per_second,
        served_p50=load.latency_p50 / 1e3,
        served_p99=load.latency_p99 / 1e3,
        turned_away_rate=load.turned_away / load.seconds,
        refusal_p50=load.refusal_p50 / 1e3,
        refusal_p99=load.refusal_p99 / 1e3,
        unsent_rate=load.unsent / load.seconds,
    )
