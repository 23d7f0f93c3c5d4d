"""`tollbridge migrate`: brings a database to this version."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from cli.embedded.errors import EmbeddedServiceError
from cli.reach import Reach, reach
from cli.serve import CHECKOUT_DATA
from server.storage.migrate import HEAD, login_of
from server.storage.migrate import migrate as migrate_database
from server.storage.roles import RolesMissingError


def migrate(
    data_dir: Annotated[Path, typer.Option(help="Where the embedded database lies.")] = CHECKOUT_DATA,
) -> None:
    """Create roles, tables and usage partitions that are missing; repeatable, one process at a time.

    Uses DATABASE_OWNER_URL (default DATABASE_URL), else the embedded database of --data-dir. Where the login may not
    create roles, prints the SQL for somebody who may.
    """
    try:
        with reach(data_dir) as found:
            asyncio.run(_migrate(found))
    except RolesMissingError as error:
        print("-- The login may not create roles. Let somebody run this, then try again:", file=sys.stderr)
        print(error)
        raise typer.Exit(1) from None
    except EmbeddedServiceError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except (OSError, asyncpg.PostgresError) as error:
        print(f"DATABASE_OWNER_URL: the database cannot be migrated: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"The database is at revision {HEAD}.")


async def _migrate(found: Reach) -> None:
    await migrate_database(found.owner_url, login_of(found.url), datetime.now(UTC))
