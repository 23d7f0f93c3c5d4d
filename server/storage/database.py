"""One pool a database role, and transactions that say whose they are.

Row level security stands behind every query: a transaction sees one organization's rows (`tenant`), one person's
(`person`), both while an account is being made (`registration`), or what its role is for. The SQL itself lives in the
capabilities' `store.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from types import TracebackType
from typing import Final
from uuid import UUID

import asyncpg

from server.storage import effect
from server.storage.connections import Connections
from server.storage.effect import Effect

Transaction = asyncpg.Connection
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
    Role.METER: 2,
    Role.KEEPER: 3,
    Role.PLATFORM: 2,
}
"""Most connections a process opens for each role. Writers are capped near 8: more of them only queue at the rows."""


# Named query: database_enter_tenant. The rest of the transaction sees another organization.
_ENTER_TENANT: Final = "SELECT set_config('app.org_id', $1, true)"


async def enter_tenant(transaction: Transaction, org_id: UUID) -> None:
    """Goes on in another organization, for the few changes that touch several and must be all or nothing.

    Whoever calls says why the caller may change something there.
    """
    await transaction.execute(_ENTER_TENANT, str(org_id))


class Database:
    """The connections of one process."""

    def __init__(self, connections: Mapping[Role, Connections]) -> None:
        self._connections = connections

    @classmethod
    async def connect(cls, urls: Mapping[Role, str], sizes: Mapping[Role, int] = POOL_SIZES) -> Database:
        """Opens the first connection of each role that has a URL. Raises `DatabaseUnavailableError`."""
        database = cls({role: _connections(role, url, sizes[role]) for role, url in urls.items()})
        try:
            for role in urls:
                async with database.statement(role):
                    pass
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Closes every connection; one that is in use when it comes back."""
        await asyncio.gather(*(connections.close() for connections in self._connections.values()))

    async def ready(self) -> bool:
        """Whether PostgreSQL answers a statement."""
        try:
            async with self.statement(Role.LOOKUP) as connection:
                await connection.execute("SELECT 1")
        except (DatabaseUnavailableError, asyncpg.PostgresError):
            return False
        return True

    def tenant(self, org_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that sees one organization's rows."""
        return self._transaction(Role.APP, f"SET LOCAL app.org_id = '{org_id}'")

    def person(self, user_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that sees one person's rows."""
        return self._transaction(Role.APP, f"SET LOCAL app.user_id = '{user_id}'")

    def registration(self, org_id: UUID, user_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that sees one organization's and one person's rows: sign-up, sign-in, membership."""
        return self._transaction(Role.APP, f"SET LOCAL app.org_id = '{org_id}'; SET LOCAL app.user_id = '{user_id}'")

    def shared(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that sees no tenant: only tables without one (models, prices, plans)."""
        return self._transaction(Role.APP)

    def privileged(self, role: Role) -> AbstractAsyncContextManager[Transaction]:
        """A transaction across tenants, as `meter`, `keeper` or `platform`."""
        return self._transaction(role)

    def effect(self) -> Effect:
        """All transactions that this task opens inside it as one commit."""
        return Effect(lambda role: _InTransaction(self._connections[role], "BEGIN"))

    def _transaction(self, role: Role, settings: str = "") -> AbstractAsyncContextManager[Transaction]:
        joined = effect.current()
        if joined is not None:
            return joined.step(role, settings)
        return _InTransaction(self._connections[role], f"BEGIN; {settings}")

    def statement(self, role: Role = Role.APP) -> AbstractAsyncContextManager[Transaction]:
        """A connection for exactly one statement, which is its own transaction.

        For definer functions (role `lookup`) and for ledger functions, which set the tenant themselves: one round
        trip instead of three.
        """
        return _Borrowed(self._connections[role])


class _Borrowed:
    """A connection for the length of a `with`; errors of the connection become `DatabaseUnavailableError`."""

    __slots__ = ("_connection", "_connections")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Transaction:
        try:
            self._connection = await self._connections.acquire()
        except _AWAY as error:
            raise DatabaseUnavailableError(f"no connection: {error!r}") from error
        return self._connection

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # A refused statement (a check, a duplicate) leaves the connection as it was. Anything else may have broken a
        # statement off.
        self._give_back(usable=error is None or (isinstance(error, asyncpg.PostgresError) and not _lost(error)))
        _raise_mapped(error)

    def _give_back(self, *, usable: bool) -> None:
        assert self._connection is not None, "entered before it is left"
        self._connections.release(self._connection, usable=usable)


class _InTransaction(_Borrowed):
    """The same, inside a transaction that commits when the `with` ends well and rolls back when it does not."""

    __slots__ = ("_begin",)

    def __init__(self, connections: Connections, begin: str) -> None:
        super().__init__(connections)
        self._begin = begin

    async def __aenter__(self) -> Transaction:
        connection = await super().__aenter__()
        await self._run(self._begin)
        return connection

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # Who was cancelled does not wait for a rollback: a connection that is closed rolls back too.
        usable = error is None or (isinstance(error, Exception) and not _lost(error))
        if usable:
            await self._run("COMMIT" if error is None else "ROLLBACK")
        self._give_back(usable=usable)
        _raise_mapped(error)

    async def _run(self, statement: str) -> None:
        """Runs BEGIN, COMMIT or ROLLBACK; where that fails the connection is given up."""
        assert self._connection is not None, "entered before it is left"
        try:
            await self._connection.execute(statement)
        except BaseException as error:
            self._give_back(usable=False)
            _raise_mapped(error)
            raise


_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
"""What asyncpg raises when the connection is gone or unusable."""

_AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What opening a connection raises."""


def _lost(error: BaseException) -> bool:
    return isinstance(error, (*_LOST, OSError))


def _raise_mapped(error: BaseException | None) -> None:
    """Raises what the caller is to see instead of a driver's error; nothing for errors that are the caller's own."""
    if isinstance(error, asyncpg.CharacterNotInRepertoireError):
        raise UnstorableTextError(str(error)) from error
    if error is not None and _lost(error):
        raise DatabaseUnavailableError(f"lost the connection: {error!r}") from error


def _connections(role: Role, url: str, size: int) -> Connections:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=_ACQUIRE_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            server_settings={
                "role": role.value,
                "application_name": "tollbridge",
                "timezone": "UTC",
                # Statements see what was committed before each of them: the ledger's locks and the sealer rely on it.
                "default_transaction_isolation": "read committed",
                # A statement that we stopped waiting for must not run on: its connection is closed, and the server
                # looks whether we are still there. The keeper's checks read every row, however long it takes.
                "client_connection_check_interval": "1s",
                "statement_timeout": "0" if role is Role.KEEPER else f"{_COMMAND_SECONDS + 1:.0f}s",
            },
        )

    return Connections(connect, size, _ACQUIRE_SECONDS)
