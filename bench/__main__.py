"""`./run bench`: the command."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bench import ledger
from bench.child import ProgramFailed
from bench.native import BUILD, CompilerError
from bench.overload import Overloaded, overload
from bench.report import show, write_json
from bench.runner import Plan, TooFewCores, run, two_cores
from bench.scenarios import SCENARIOS, Scenario, chosen
from bench.targets import BASELINE, SPLIT, TOLLBRIDGE
from bench.workers import Comparison, compare

TARGETS: Final = {"baseline": BASELINE, "tollbridge": TOLLBRIDGE, "split": SPLIT}
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
    return [TARGETS[name] for name in names or TARGETS]


def _console() -> Console:
    """Where the output goes to a file or a pipe, lines are not broken at 80 characters."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE_ENOUGH)


def _show_comparison(comparison: Comparison, console: Console, json_file: Path) -> None:
    for line in comparison.lines():
        console.print(f"- {line}", markup=False)
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(comparison.to_json(), indent=2) + "\n", "utf-8")


def _show_overload(result: Overloaded, console: Console, json_file: Path) -> None:
    for line in result.lines():
        console.print(f"- {line}", markup=False)
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(result.to_json(), indent=2) + "\n", "utf-8")


def _show_rates(rates: list[ledger.Rate], console: Console, json_file: Path) -> None:
    for rate in rates:
        console.print(f"- {rate.line()}", markup=False)
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(ledger.to_json(rates), indent=2) + "\n", "utf-8")


@app.command()
def main(
    seconds: Annotated[float, typer.Option(min=0.5, max=300, help="Measured time of each run.")] = 5.0,
    warm_up: Annotated[float, typer.Option(min=0, max=60, help="Time before it, not measured.")] = 1.0,
    only: Annotated[list[str] | None, typer.Option(help=f"Scenario to run, repeatable: {NAMES}.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Target, repeatable: baseline, tollbridge, split (a bridge before a server)."),
    ] = None,
    organizations: Annotated[int, typer.Option(min=1, max=1000, help="Organizations that call.")] = 10,
    keys: Annotated[int, typer.Option(min=1, max=100_000, help="Keys that they call with.")] = 1000,
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
    json_file: Annotated[Path, typer.Option("--json", help="Where all figures go as JSON.")] = BUILD / "last.json",
) -> None:
    """Measure speed and memory against a provider double, beside a bare proxy."""
    plan = Plan(
        scenarios=_scenarios(only or []),
        targets=_targets(target or []),
        seconds=seconds,
        warm_up=warm_up,
        organizations=organizations,
        keys=keys,
        services_on_product_core=services_on_product_core,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    affinity = os.sched_getaffinity(0)
    console = _console()
    try:
        with tempfile.TemporaryDirectory(prefix="tollbridge-bench-") as folder, console.status("starting") as status:
            if books:
                _show_rates(ledger.measure(Path(folder), *two_cores(), status.update), console, json_file)
                return
            if crowd:
                _show_overload(overload(plan, Path(folder), status.update), console, json_file)
                return
            if workers is not None:
                _show_comparison(compare(plan, workers, Path(folder), status.update), console, json_file)
                return
            report = run(plan, Path(folder), status.update)
    except (CompilerError, ProgramFailed, TooFewCores) as failure:
        console.print(f"bench: {failure}", style="red", markup=False)
        sys.exit(1)
    finally:
        os.sched_setaffinity(0, affinity)
    show(report, console)
    write_json(report, plan, json_file)
    console.print(f"All figures: {json_file}", markup=False)


if __name__ == "__main__":
    app()
