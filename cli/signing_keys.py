"""`tollbridge signing-keys`: the keys that sign access tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from cli import operator
from cli.operator import DEFAULT_DATA_DIR, DataDir
from server.app import Capabilities, Ground
from server.auth.signing_key_store import SigningKeyRow

app = typer.Typer(help="Keys that sign access tokens.", no_args_is_help=True)


@app.command("list")
def list_keys(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List the keys, newest first, with what each does now."""

    async def work(_ground: Ground, capabilities: Capabilities) -> list[SigningKeyRow]:
        return await capabilities.signing_key_rotation.list_all()

    table = Table("kid", "made", "signs from", "signs until", "now")
    now = datetime.now(UTC)
    for row in operator.run(data_dir, work):
        table.add_row(row.kid, *map(_shown, (row.create_time, row.activate_time, row.retire_time)), _state(row, now))
    operator.show(table)


@app.command()
def rotate(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    leaked: Annotated[
        bool, typer.Option("--leaked", help="Sign with the new key at once and delete the old ones.")
    ] = False,
) -> None:
    """Make a new key. It takes over in ten minutes, when every cache of the published keys has it."""

    async def work(_ground: Ground, capabilities: Capabilities) -> SigningKeyRow:
        rotation = capabilities.signing_key_rotation
        return await (rotation.replace_all() if leaked else rotation.rotate())

    row = operator.run(data_dir, work)
    print(f"kid         {row.kid}")
    print(f"signs from  {_shown(row.activate_time)}")


def _shown(time: datetime | None) -> str:
    return "" if time is None else time.isoformat(timespec="seconds")


def _state(row: SigningKeyRow, now: datetime) -> str:
    if now < row.activate_time:
        return "published"
    return "signs" if row.retire_time is None or now < row.retire_time else "verifies"
