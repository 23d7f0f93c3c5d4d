"""`tollbridge verify`: whether ledger, holds and usage agree."""

from __future__ import annotations

import typer

from cli import operator
from cli.operator import DEFAULT_DATA_DIR, DataDir
from server.app import Capabilities, Ground
from server.billing.verify import Report
from server.billing.verify import verify as verify_books


def verify(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Check the books; exit 1 and say where the first difference is, if there is one. The server may run meanwhile."""

    async def work(ground: Ground, _capabilities: Capabilities) -> Report:
        return await verify_books(ground.database)

    report = operator.run(data_dir, work)
    print("\n".join(report.lines))
    if not report.ok:
        raise typer.Exit(1)
