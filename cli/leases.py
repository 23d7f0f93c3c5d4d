"""`tollbridge leases`: money that processes have reserved for calls to come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from cli import operator
from cli.operator import DEFAULT_DATA_DIR, DataDir
from server.app import Capabilities, Ground
from server.billing.forfeits import Forfeits, LeaseHeldError, LeaseRow
from server.foundation import ids, money

app = typer.Typer(help="Money that processes have reserved for calls to come.", no_args_is_help=True)


@app.command("list")
def list_leases(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List every lease with its holder, oldest first."""

    async def work(ground: Ground, _capabilities: Capabilities) -> Sequence[LeaseRow]:
        return await Forfeits(ground.database, ground.clock).list_leases()

    table = Table("lease", "organization", "dollars left", "funding", "model", "until", "host", "last heard of")
    for lease in operator.run(data_dir, work):
        heard = "" if lease.heartbeat_time is None else lease.heartbeat_time.isoformat(timespec="seconds")
        table.add_row(
            ids.to_text(ids.LEASE, lease.id),
            ids.to_text(ids.ORGANIZATION, lease.org_id),
            money.to_text(lease.left),
            lease.funding,
            lease.model_id,
            lease.expire_time.isoformat(timespec="seconds"),
            lease.host,
            heard,
        )
    operator.show(table)


@app.command()
def forfeit(
    lease: Annotated[str, typer.Argument(help="The lease, lease_….")], data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Give up a lease of a machine that is lost: the rest goes back, late calls are the platform's loss."""
    lease_id = ids.from_text(ids.LEASE, lease)
    if lease_id is None:
        operator.fail(f"{lease!r} is no lease's id (lease_…); `tollbridge leases list` shows them.")

    async def work(ground: Ground, _capabilities: Capabilities) -> LeaseRow | str | None:
        try:
            return await Forfeits(ground.database, ground.clock).forfeit(lease_id)
        except LeaseHeldError as error:
            return str(error)

    given_up = operator.run(data_dir, work)
    if given_up is None:
        operator.fail(f"There is no lease {lease}.")
    if isinstance(given_up, str):
        operator.fail(f"{lease} is held: {given_up}. A living process gives its leases back itself.")
    print(f"{lease} is forfeited; {money.to_text(given_up.left)} dollars went back.")
