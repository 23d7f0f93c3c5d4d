"""What the operator's commands share: the platform's parts over a database that `reach` found, and who is acting."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar
from uuid import UUID

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from cli.embedded.errors import EmbeddedServiceError
from cli.reach import Reach, reach
from cli.serve import CHECKOUT_DATA
from server import config
from server.app import Capabilities, Ground
from server.foundation import ids
from server.rpc.access import ROLE_PERMISSIONS
from server.rpc.context import CallContext
from server.rpc.errors import ApiError
from server.rpc.principal import Origin, Principal, PrincipalKind
from server.storage.database import DatabaseUnavailableError

DataDir = Annotated[Path, typer.Option(help="Where the embedded database lies, unless DATABASE_URL names another.")]
DEFAULT_DATA_DIR: Final = CHECKOUT_DATA

_UNUSED_BUS: Final = "unix:///nonexistent/valkey.sock"
_Result = TypeVar("_Result")
_OLD_SCHEMA: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)


def run(data_dir: Path, work: Callable[[Ground, Capabilities], Awaitable[_Result]]) -> _Result:
    """Runs `work` on the platform's parts. What goes wrong is said on standard error; then the command exits with 1."""
    try:
        with reach(data_dir.absolute()) as found:
            return asyncio.run(_run(found, work))
    except ApiError as error:
        fail(error.public)
    except (EmbeddedServiceError, DatabaseUnavailableError, config.SettingsError) as error:
        fail(str(error))
    except _OLD_SCHEMA as error:
        fail(f"The database lacks what this version has ({error}). Run `tollbridge migrate`.")


def fail(text: str) -> NoReturn:
    """Says why, and exits with 1."""
    Console(stderr=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def show(table: Table) -> None:
    """Prints a table with its ids whole, however narrow the terminal is: they are there to be copied."""
    for column in table.columns:
        column.no_wrap = True
    Console(width=max(200, Console().width)).print(table, crop=False)


def context_for(org_id: UUID) -> CallContext:
    """The operator, acting in an organization with everything that its owner may do. Audit rows say SYSTEM."""
    everything = ROLE_PERMISSIONS["OWNER"]
    operator = Principal(PrincipalKind.USER, org_id, everything, platform_admin=True)
    return CallContext("cli", Origin("", "cli", ids.to_text(ids.REQUEST, ids.uuid7())), {}, caller=operator)


def organization(text: str) -> UUID:
    """The id behind `org_…`; anything else ends the command."""
    found = ids.from_text(ids.ORGANIZATION, text)
    if found is None:
        fail(f"--organization: {text!r} is no organization's id (org_…); `tollbridge users list` shows them.")
    return found


async def _run(found: Reach, work: Callable[[Ground, Capabilities], Awaitable[_Result]]) -> _Result:
    settings = config.load()
    root = config.root_secret(settings, found.secret_file)
    # Changes are told through the database; nothing here waits for the bus.
    ground = await Ground.open(settings, root, found.url, os.environ.get("REDIS_URL") or _UNUSED_BUS)
    try:
        capabilities = Capabilities(ground)
        try:
            return await work(ground, capabilities)
        finally:
            capabilities.close()
    finally:
        await ground.close()
