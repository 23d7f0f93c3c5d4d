"""Brings a database to this version of the schema."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from server.storage import partitions, roles
from server.storage.database import Role

HEAD: Final = "0004"
"""The revision that this code works with."""

_LOCK: Final = 0x746F6C6C
"""Advisory lock under which one process at a time migrates."""


async def migrate(owner_url: str, login: str, now: datetime, revision: str = HEAD) -> None:
    """Creates roles, runs the missing revisions in one transaction, and makes usage partitions 24 months ahead.

    `owner_url` is a login that may act as the owner; `login` is the runtime login's name. `revision` is the last one to
    run: this version's, or an earlier one to try an upgrade from. Waits for any other migration. Raises
    `roles.RolesMissingError`, asyncpg's errors, and OSError where the database is out of reach.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(owner_url, timeout=5.0), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
            await connection.commit()
            await _upgrade(connection, login, now, revision)
    finally:
        await engine.dispose()


async def current_revision(url: str) -> str | None:
    """The database's revision, or None where it has no schema yet. Raises asyncpg's errors and OSError."""
    connection = await asyncpg.connect(url, timeout=5.0)
    try:
        if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
            return None
        await connection.execute(f"SET ROLE {Role.LOOKUP}")
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision
    finally:
        await connection.close()


def login_of(url: str) -> str:
    """The user that a database URL signs in as."""
    return unquote(urlsplit(url).username or "")


async def _upgrade(connection: AsyncConnection, login: str, now: datetime, revision: str) -> None:
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None, "an open connection has a driver connection"
    async with connection.begin():
        await roles.ensure(raw, login)
        await connection.execute(text(f"SET LOCAL ROLE {roles.OWNER}"))
        await connection.run_sync(_run_revisions, revision)
        await connection.execute(text("GRANT SELECT ON alembic_version TO " + ", ".join(Role)))
        await partitions.ensure(raw, now)


def _run_revisions(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
