"""Fresh, migrated databases: made once as a template, copied for each test, dropped after it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from cli.embedded.postgres import EmbeddedPostgres
from server.storage.migrate import migrate

LOGIN: Final = "tollbridge"
SUPERUSER: Final = "postgres"
TEMPLATE: Final = "tollbridge_template"
# Nothing here outlives the run, so nothing waits for a disk.
FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}

Migration = Callable[[str], Coroutine[Any, Any, None]]
"""Gives the database behind a superuser's URL its schema."""


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """One test's database. `url` signs in as the runtime login, which may act as every runtime role;
    `owner_url` as a superuser, who sees all rows of all tenants."""

    __test__ = False  # not a test, whatever its name says

    name: str
    url: str
    owner_url: str


async def migrate_to_now(owner_url: str) -> None:
    """The product's own schema, as `tollbridge migrate` makes it."""
    await migrate(owner_url, LOGIN, datetime.now(UTC))


class Cluster:
    """A running PostgreSQL and the databases in it. Its methods block; call them outside of a running event loop."""

    def __init__(self, server: EmbeddedPostgres, runner: asyncio.Runner, migration: Migration) -> None:
        self._server = server
        self._runner = runner
        self._migration = migration
        self._numbers = itertools.count(1)
        self._has_template = False

    def dsn(self, user: str, database: str) -> str:
        """A URL for any user and database of the cluster."""
        return self._server.dsn(user, database)

    def create(self) -> TestDatabase:
        """A database nobody has used, at the newest schema."""
        if not self._has_template:
            self._runner.run(self._make_template())
            self._has_template = True
        return self._named(f"CREATE DATABASE {{}} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")

    def create_empty(self) -> TestDatabase:
        """A database without any schema, for tests of migrations. Roles are the cluster's: they may exist or not."""
        return self._named("CREATE DATABASE {} TEMPLATE template0 STRATEGY FILE_COPY")

    def drop(self, database: TestDatabase) -> None:
        """Removes a database, whoever is still connected to it."""
        self._execute(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")

    def _named(self, statement: str) -> TestDatabase:
        name = f"test_{next(self._numbers)}"
        self._execute(statement.format(name))
        return TestDatabase(name, self.dsn(LOGIN, name), self.dsn(SUPERUSER, name))

    def _execute(self, statement: str) -> None:
        self._runner.run(self._execute_in(SUPERUSER, statement))

    async def _execute_in(self, database: str, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn(SUPERUSER, database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _make_template(self) -> None:
        # An earlier test may have met a migration that fails: each says so itself.
        await self._execute_in(SUPERUSER, f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        await self._execute_in(SUPERUSER, f"CREATE DATABASE {TEMPLATE} TEMPLATE template0 STRATEGY FILE_COPY")
        await self._migration(self.dsn(SUPERUSER, TEMPLATE))


@contextmanager
def running_cluster(folder: Path, migration: Migration = migrate_to_now) -> Iterator[Cluster]:
    """A PostgreSQL of one's own in a folder. Raises EmbeddedServiceError where it cannot start."""
    server = EmbeddedPostgres(folder, FORGETFUL)
    server.start()
    try:
        # A loop factory keeps the runner from becoming the thread's current loop, which belongs to the tests.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            yield Cluster(server, runner, migration)
    finally:
        server.stop()
