"""`tollbridge users`: accounts, as the operator handles them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli import operator
from cli.operator import DEFAULT_DATA_DIR, DataDir
from server.app import Capabilities, Ground
from server.auth.admin_store import ListedUser
from server.auth.administration import IssuedAccount
from server.auth.registrar import AccountWish
from server.foundation import ids

app = typer.Typer(help="Accounts of people.", no_args_is_help=True)


@app.command("create-admin")
def create_admin(
    email: Annotated[str, typer.Option(help="The administrator's e-mail.")],
    name: Annotated[str, typer.Option(help="Name of the person and of the organization.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make an administrator of the platform, with a one-time password that is printed once.

    An account with this e-mail becomes an administrator and gets a new one-time password.
    """
    if "@" not in email.strip("@"):
        operator.fail(f"--email: {email!r} is no e-mail address.")

    async def work(_ground: Ground, capabilities: Capabilities) -> IssuedAccount:
        return await capabilities.administration.create_admin(AccountWish(email=email, name=name))

    _show(operator.run(data_dir, work))


@app.command("reset-password")
def reset_password(
    login: Annotated[str, typer.Argument(help="E-mail or user name.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Give an account a new one-time password, printed once, and end its sessions."""

    async def work(_ground: Ground, capabilities: Capabilities) -> IssuedAccount:
        return await capabilities.administration.reset_password(login)

    _show(operator.run(data_dir, work))


@app.command("list")
def list_users(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 100,
) -> None:
    """List accounts, oldest first, with the organization that each acts in."""

    async def work(_ground: Ground, capabilities: Capabilities) -> list[ListedUser]:
        return await capabilities.administration.list_users(None, limit)

    table = Table("user", "e-mail", "name", "organization", "admin")
    for listed in operator.run(data_dir, work):
        user = listed.user
        organization = "" if listed.org_id is None else ids.to_text(ids.ORGANIZATION, listed.org_id)
        admin = "yes" if user.platform_admin else ""
        table.add_row(ids.to_text(ids.USER, user.id), user.email, user.name, organization, admin)
    operator.show(table)


def _show(issued: IssuedAccount) -> None:
    print(f"e-mail             {issued.email}")
    print(f"one-time password  {issued.one_time_password}")
    print(f"organization       {ids.to_text(ids.ORGANIZATION, issued.org_id)}")
