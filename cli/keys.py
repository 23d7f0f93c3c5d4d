"""`tollbridge keys`: API keys, as the operator handles them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli import operator
from cli.operator import DEFAULT_DATA_DIR, DataDir
from server.app import Capabilities, Ground
from server.foundation import ids
from server.keys.key_ring import KeyWish
from server.keys.keys import Key
from server.rpc.access import SCOPE_PERMISSIONS

app = typer.Typer(help="API keys of an organization.", no_args_is_help=True)

Organization = Annotated[str, typer.Option(help="The organization, org_….")]


@app.command()
def create(
    organization: Organization,
    name: Annotated[str, typer.Option(help="Display name.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="chat, manage or service; may be repeated.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a key; its secret is printed once."""
    org_id = operator.organization(organization)
    scopes = tuple(scope or ("chat",))
    unknown = [text for text in scopes if text not in SCOPE_PERMISSIONS]
    if unknown:
        operator.fail(f"--scope: {unknown[0]!r} is none of {', '.join(SCOPE_PERMISSIONS)}.")

    async def work(_ground: Ground, capabilities: Capabilities) -> tuple[Key, str]:
        await capabilities.directory.get(org_id)
        return await capabilities.key_ring.issue(org_id, KeyWish(name=name, scopes=scopes))

    key, secret = operator.run(data_dir, work)
    print(f"key     {ids.to_text(ids.KEY, key.id)}")
    print(f"secret  {secret}")


@app.command("list")
def list_keys(organization: Organization, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List an organization's newest 1,000 keys, masked."""
    context = operator.context_for(operator.organization(organization))

    async def work(_ground: Ground, capabilities: Capabilities) -> list[Key]:
        return await capabilities.key_ring.list_page(context, None, 1000)

    table = Table("key", "name", "secret", "scopes", "revoked")
    for key in operator.run(data_dir, work):
        revoked = "" if key.revoke_time is None else key.revoke_time.isoformat(timespec="seconds")
        table.add_row(ids.to_text(ids.KEY, key.id), key.name, key.masked, ", ".join(key.scopes), revoked)
    operator.show(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key, key_….")],
    organization: Organization,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Revoke a key for good: dead everywhere within a second."""
    context = operator.context_for(operator.organization(organization))
    key_id = ids.from_text(ids.KEY, key)
    if key_id is None:
        operator.fail(f"{key!r} is no key's id (key_…); `tollbridge keys list` shows them.")

    async def work(_ground: Ground, capabilities: Capabilities) -> Key:
        return await capabilities.key_ring.revoke(context, key_id)

    operator.run(data_dir, work)
    print(f"{key} is revoked.")
