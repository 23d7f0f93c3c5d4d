"""The cluster's roles: who owns the schema, and who may do what at run time."""

from __future__ import annotations

from typing import Final

import asyncpg

from server.storage.database import Role

OWNER: Final = "tollbridge_owner"


class RolesMissingError(Exception):
    """The roles are not there and this login may not create them; the text is the SQL for somebody who may."""


async def ensure(connection: asyncpg.Connection, login: str) -> None:
    """Makes the owner, the runtime roles and the runtime login, and lets the login act as the runtime roles.

    Repeatable. Raises `RolesMissingError` with the SQL where privileges are lacking.
    """
    existing = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
    wanted = [name for name in (OWNER, *Role) if name not in existing]
    statements = [f"CREATE ROLE {name} NOLOGIN NOBYPASSRLS" for name in wanted]
    if login not in existing:
        statements.append(f"CREATE ROLE {_quoted(login)} LOGIN NOINHERIT NOBYPASSRLS")
    statements += await _grants(connection, login)
    try:
        for statement in statements:
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        raise RolesMissingError(";\n".join(statements) + ";") from error


async def _grants(connection: asyncpg.Connection, login: str) -> list[str]:
    database = await connection.fetchval("SELECT current_database()")
    runtime = ", ".join(Role)
    return [
        f"GRANT {OWNER} TO CURRENT_USER",
        f"GRANT CREATE, CONNECT ON DATABASE {_quoted(database)} TO {OWNER}",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}",
        f"GRANT USAGE ON SCHEMA public TO {runtime}",
        f"GRANT {runtime} TO {_quoted(login)}",
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
