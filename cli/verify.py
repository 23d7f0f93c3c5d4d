"""`tollbridge verify`: whether ledger, holds, usage and seals agree."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import operator
from cli.operator import DEFAULT_DATA_DIR, DataDir
from server.app import Capabilities, Ground
from server.billing.nightly import last_run
from server.billing.nightly_store import Run
from server.billing.verify import Report
from server.billing.verify import verify as verify_books

Last = Annotated[bool, typer.Option("--last", help="Show what the last nightly run found, and check nothing now.")]


def verify(data_dir: DataDir = DEFAULT_DATA_DIR, last: Last = False) -> None:
    """Check the books; exit 1 and say where the first difference is, if there is one. The server may run meanwhile."""
    report = _last(data_dir) if last else operator.run(data_dir, _check)
    print("\n".join(report.lines))
    if not report.ok:
        raise typer.Exit(1)


async def _check(ground: Ground, _capabilities: Capabilities) -> Report:
    return await verify_books(ground.database)


async def _find(ground: Ground, _capabilities: Capabilities) -> Run | None:
    return await last_run(ground.database)


def _last(data_dir: DataDir) -> Report:
    run = operator.run(data_dir, _find)
    if run is None:
        operator.fail("There was no nightly run yet; it comes at 03:00 UTC. `tollbridge verify` checks now.")
    print(f"Run of {run.begin_time:%Y-%m-%d %H:%M:%S} to {run.end_time:%H:%M:%S} UTC")
    return Report(run.ok, run.lines)
