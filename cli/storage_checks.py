"""What a process that serves wants of PostgreSQL and Valkey before it starts, and the sentences for what is wrong."""

from __future__ import annotations

from typing import Final

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.app import Capabilities, Ground
from server.auth.signing_keys import SigningKeys, ensure_signing_key
from server.foundation.secrets import SealBrokenError
from server.storage.migrate import HEAD, current_revision
from server.storage.roles import OWNER

_LEAST_POSTGRESQL: Final = 150000
_LEAST_REDIS: Final = 7
_CONNECT_SECONDS: Final = 3.0

# Named query: prepare_is_privileged. Whether the login could reach past row level security.
_IS_PRIVILEGED: Final = """
SELECT rolsuper OR rolbypassrls OR EXISTS (
    SELECT FROM pg_roles o WHERE o.rolname = $1 AND pg_has_role(session_user, o.oid, 'MEMBER'))
FROM pg_roles WHERE rolname = session_user
"""


class PreparationError(Exception):
    """Why the server cannot start; the text names the setting."""


async def check_database(url: str, production: bool, *, login_may_be_missing: bool = False) -> None:
    """Whether PostgreSQL can be reached and is new enough and, in production, the login has no more rights than it may.

    A login that the migration will make may be missing. Raises `PreparationError`.
    """
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError) as error:
        if login_may_be_missing:
            return
        raise PreparationError(f"DATABASE_URL: {error}.") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise PreparationError(f"DATABASE_URL: PostgreSQL cannot be reached: {_reason(error)}.") from error
    try:
        if int(await connection.fetchval("SHOW server_version_num")) < _LEAST_POSTGRESQL:
            raise PreparationError("DATABASE_URL: PostgreSQL 15 or newer is needed.")
        if production and await connection.fetchval(_IS_PRIVILEGED, OWNER):
            raise PreparationError(
                "DATABASE_URL: this login is a superuser or may act as the owner; production wants the runtime login."
            )
    finally:
        await connection.close()


async def check_valkey(url: str) -> None:
    """Whether Valkey can be reached and is new enough. Raises `PreparationError`."""
    valkey: Redis = Redis.from_url(url, socket_timeout=_CONNECT_SECONDS, socket_connect_timeout=_CONNECT_SECONDS)
    try:
        version = str((await valkey.info("server"))["redis_version"])
    except (RedisError, OSError) as error:
        raise PreparationError(f"REDIS_URL: Valkey cannot be reached: {_reason(error)}.") from error
    finally:
        await valkey.aclose()
    if int(version.split(".", maxsplit=1)[0]) < _LEAST_REDIS:
        raise PreparationError(f"REDIS_URL: Redis 7 or newer, or Valkey, is needed; this is {version}.")


async def check_revision(url: str) -> None:
    """Whether the database has this version's schema. Raises `PreparationError`, which names the command."""
    revision = await current_revision(url)
    if revision != HEAD:
        raise PreparationError(
            f"The database is at revision {revision or 'none'}, this version needs {HEAD}: run `tollbridge migrate`."
        )


async def check_contents(ground: Ground, capabilities: Capabilities) -> None:
    """Whether the default plan is there and the root secret is the database's; makes the first signing key.

    Raises `PreparationError`.
    """
    if not await capabilities.subscriptions.default_plan_exists():
        raise PreparationError(f"TOLLBRIDGE_DEFAULT_PLAN: there is no plan {ground.settings.default_plan!r}.")
    await ensure_signing_key(ground.database, ground.root.sealer("signing-key"), ground.clock, ground.random_bytes)
    await check_root_secret(capabilities.signing_keys)


async def check_root_secret(signing_keys: SigningKeys) -> None:
    """Reads the signing keys, which only the root secret that they were made with opens. Raises `PreparationError`."""
    try:
        await signing_keys.load()
    except SealBrokenError as error:
        raise PreparationError(
            "JWT_SECRET: this database was made with another root secret (JWT_SECRET, or DATA/secret where that is not "
            "set). Start with that one: keys, sessions and provider credentials depend on it."
        ) from error


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
