"""One pool a database role, and transactions that say whose they are.

Row level security stands behind every query: a transaction sees one organization's rows (`tenant`), one person's
(`person`), both while an account is being made (`registration`), or what its role is for. The SQL itself lives in the
capabilities' `store.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Transaction = PoolConnectionProxy
"""What store functions take first: a connection inside a transaction."""

_ACQUIRE_SECONDS: Final = 2.0
_COMMAND_SECONDS: Final = 10.0


class DatabaseUnavailableError(Exception):
    """PostgreSQL does not answer: away, restarting, or every connection busy for two seconds."""


class UnstorableTextError(Exception):
    """A text holds what PostgreSQL keeps in no text: a NUL character."""


class Role(StrEnum):
    """Runtime roles; each has one pool. What each may do stands in the first migration."""

    APP = "tollbridge_app"
    LOOKUP = "tollbridge_lookup"
    METER = "tollbridge_meter"
    KEEPER = "tollbridge_keeper"
    PLATFORM = "tollbridge_platform"


POOL_SIZES: Final[Mapping[Role, int]] = {
    Role.APP: 8,
    Role.LOOKUP: 2,
    Role.METER: 1,
    Role.KEEPER: 2,
    Role.PLATFORM: 2,
}
"""Most connections a process opens for each role. Writers are capped near 8: more of them only queue at the rows."""


class Database:
    """The pools of one process."""

    def __init__(self, pools: Mapping[Role, asyncpg.Pool]) -> None:
        self._pools = pools

    @classmethod
    async def connect(cls, urls: Mapping[Role, str], sizes: Mapping[Role, int] = POOL_SIZES) -> Database:
        """Opens a pool for each role that has a URL. Raises `DatabaseUnavailableError`."""
        pools: dict[Role, asyncpg.Pool] = {}
        try:
            for role, url in urls.items():
                pools[role] = await _open_pool(role, url, sizes[role])
        except BaseException:
            await asyncio.gather(*(pool.close() for pool in pools.values()))
            raise
        return cls(pools)

    async def close(self) -> None:
        """Waits for running transactions, then closes every connection."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def ready(self) -> bool:
        """Whether PostgreSQL answers a statement."""
        try:
            async with self._connection(Role.LOOKUP) as connection:
                await connection.execute("SELECT 1")
        except (DatabaseUnavailableError, asyncpg.PostgresError):
            return False
        return True

    @asynccontextmanager
    async def tenant(self, org_id: UUID) -> AsyncIterator[Transaction]:
        """A transaction that sees one organization's rows."""
        async with self._transaction(Role.APP, f"SET LOCAL app.org_id = '{org_id}'") as transaction:
            yield transaction

    @asynccontextmanager
    async def person(self, user_id: UUID) -> AsyncIterator[Transaction]:
        """A transaction that sees one person's rows."""
        async with self._transaction(Role.APP, f"SET LOCAL app.user_id = '{user_id}'") as transaction:
            yield transaction

    @asynccontextmanager
    async def registration(self, org_id: UUID, user_id: UUID) -> AsyncIterator[Transaction]:
        """A transaction that sees one organization's and one person's rows: sign-up, sign-in, membership."""
        settings = f"SET LOCAL app.org_id = '{org_id}'; SET LOCAL app.user_id = '{user_id}'"
        async with self._transaction(Role.APP, settings) as transaction:
            yield transaction

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[Transaction]:
        """A transaction that sees no tenant: only tables without one (models, prices, plans)."""
        async with self._transaction(Role.APP) as transaction:
            yield transaction

    @asynccontextmanager
    async def statement(self, role: Role = Role.APP) -> AsyncIterator[Transaction]:
        """A connection for exactly one statement, which is its own transaction.

        For definer functions (role `lookup`) and for ledger functions, which set the tenant themselves: one round
        trip instead of three.
        """
        async with self._connection(role) as connection:
            yield connection

    @asynccontextmanager
    async def privileged(self, role: Role) -> AsyncIterator[Transaction]:
        """A transaction across tenants, as `meter`, `keeper` or `platform`."""
        async with self._transaction(role) as transaction:
            yield transaction

    @asynccontextmanager
    async def _transaction(self, role: Role, settings: str = "") -> AsyncIterator[Transaction]:
        async with self._connection(role) as connection:
            await connection.execute(f"BEGIN; {settings}")
            try:
                yield connection
            except BaseException:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")

    @asynccontextmanager
    async def _connection(self, role: Role) -> AsyncIterator[Transaction]:
        pool = self._pools[role]
        try:
            connection = await pool.acquire(timeout=_ACQUIRE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailableError(f"no connection for {role}: {error!r}") from error
        try:
            yield connection
        except asyncpg.CharacterNotInRepertoireError as error:
            raise UnstorableTextError(str(error)) from error
        except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseUnavailableError(f"lost the connection for {role}: {error!r}") from error
        except (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError) as error:
            raise DatabaseUnavailableError(f"the server is stopping: {error!r}") from error
        finally:
            await pool.release(connection)


async def _open_pool(role: Role, url: str, size: int) -> asyncpg.Pool:
    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=_ACQUIRE_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            server_settings={"role": role.value, "application_name": "tollbridge", "timezone": "UTC"},
            reset=_keep_session,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise DatabaseUnavailableError(f"cannot connect as {role}: {error}") from error


async def _keep_session(_connection: object) -> None:
    """Every setting here is local to a transaction, so a returned connection needs no reset, and no round trip."""
