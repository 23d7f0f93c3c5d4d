"""`./run bench`: the command."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bench import document
from bench.accounts import KEYS, ORGANIZATIONS
from bench.child import ProgramFailed
from bench.native import BUILD, CompilerError
from bench.peers import PEERS
from bench.plots.charts import draw_all
from bench.product import forget_settings
from bench.runner import Plan, TooFewCores
from bench.scenarios import SCENARIOS, Scenario, chosen
from bench.session import Session
from bench.targets import BASELINE, SPLIT, TOLLBRIDGE
from bench.usage.measure import FEW_ROWS, MANY_ROWS

TARGETS: Final = {"baseline": BASELINE, "tollbridge": TOLLBRIDGE, "split": SPLIT}
USUAL_TARGETS: Final = ("baseline", "tollbridge")
NAMES: Final = ", ".join(scenario.name for scenario in SCENARIOS)
WIDE_ENOUGH: Final = 130

app = typer.Typer(add_completion=False)


def _scenarios(names: list[str]) -> list[Scenario]:
    try:
        return chosen(names)
    except KeyError as unknown:
        raise typer.BadParameter(f"no such scenario: {unknown.args[0]}; there are {NAMES}") from None


def _targets(names: list[str]) -> list[str]:
    unknown = set(names) - set(TARGETS)
    if unknown:
        raise typer.BadParameter(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    return [TARGETS[name] for name in names or USUAL_TARGETS]


def _console() -> Console:
    """Where the output goes to a file or a pipe, lines are not broken at 80 characters."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE_ENOUGH)


def _peers(wanted: bool) -> list[str]:
    return list(PEERS) if wanted else []


@app.command()
def main(
    seconds: Annotated[float, typer.Option(min=0.5, max=300, help="Measured time of each run.")] = 5.0,
    warm_up: Annotated[float, typer.Option(min=0, max=60, help="Time before it, not measured.")] = 1.0,
    only: Annotated[list[str] | None, typer.Option(help=f"Only this traffic, repeatable: {NAMES}.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Only this target, repeatable: baseline, tollbridge, split (a bridge before a server)."),
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Other gateways beside, installed for this run.")] = False,
    organizations: Annotated[int, typer.Option(min=1, max=10_000, help="Organizations that call.")] = ORGANIZATIONS,
    keys: Annotated[int, typer.Option(min=1, max=100_000, help="Keys that they call with.")] = KEYS,
    services_on_product_core: Annotated[
        bool, typer.Option(help="PostgreSQL and Valkey share Tollbridge's core instead of the load's.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=2, max=16, help="Instead: compare so many workers with one, and kill one.")
    ] = None,
    crowd: Annotated[
        bool, typer.Option("--overload", help="Instead: three times as many calls as can be served.")
    ] = False,
    books: Annotated[bool, typer.Option("--ledger", help="Instead: how fast calls come into the books.")] = False,
    growth: Annotated[
        bool, typer.Option("--growth", help="Instead: more organizations, keys, workers and usage rows, step by step.")
    ] = False,
    usage: Annotated[bool, typer.Option("--usage", help="Instead: usage queries, on few rows and on --rows.")] = False,
    rows: Annotated[int, typer.Option(min=1_000, max=50_000_000, help="Usage rows to ask about.")] = MANY_ROWS,
    decisions: Annotated[bool, typer.Option("--limits", help="Instead: how fast limits are decided.")] = False,
    draw: Annotated[
        Path | None, typer.Option(help="Instead: draw the figures of the JSON file into this folder.")
    ] = None,
    json_file: Annotated[Path, typer.Option("--json", help="Where all figures go as JSON.")] = BUILD / "last.json",
) -> None:
    """Measure speed and memory against a provider double, beside a bare proxy."""
    if draw is not None:
        for path in draw_all(document.read(json_file), draw):
            print(path)
        return
    forget_settings()
    plan = Plan(
        scenarios=_scenarios(only or []),
        targets=_targets(target or []),
        seconds=seconds,
        warm_up=warm_up,
        organizations=organizations,
        keys=keys,
        services_on_product_core=services_on_product_core,
        peers=_peers(peers),
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    affinity = os.sched_getaffinity(0)
    console = _console()
    try:
        with tempfile.TemporaryDirectory(prefix="tollbridge-bench-") as folder, console.status("starting") as status:
            session = Session(plan, Path(folder), console, status.update)
            if books:
                session.books()
            elif crowd:
                session.overload()
            elif workers is not None:
                session.workers(workers)
            elif decisions:
                session.limits()
            elif growth:
                session.growth(rows)
            elif usage:
                session.usage(FEW_ROWS)
                session.usage(rows)
            else:
                session.calls()
                if not (only or target):
                    session.books()
                    session.limits()
                    session.usage(rows)
            session.finish(json_file)
    except (CompilerError, ProgramFailed, TooFewCores) as failure:
        console.print(f"bench: {failure}", style="red", markup=False)
        sys.exit(1)
    finally:
        os.sched_setaffinity(0, affinity)


if __name__ == "__main__":
    app()
