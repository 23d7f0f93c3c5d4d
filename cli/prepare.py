"""Brings the database to what this version and the config file want: `python -m cli.prepare`.

Runs once at each start, before the workers. Migrates (outside production, and always the embedded database), makes the
root secret and the signing key where they are missing, applies models and prices, and makes the first account outside
production. Writes one JSON object to the launch's `result_fd`; prints what is wrong and exits with 1 otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli import first_start, log, models_to_apply
from cli.launch import Launch
from server import config
from server.app import Capabilities, Ground
from server.auth.signing_keys import ensure_signing_key
from server.config import Settings
from server.foundation.secrets import SealBrokenError
from server.models.config_errors import ConfigFileError
from server.storage.database import DatabaseUnavailableError
from server.storage.migrate import HEAD, current_revision, login_of, migrate
from server.storage.roles import OWNER, RolesMissingError

_LEAST_POSTGRESQL: Final = 150000
_LEAST_REDIS: Final = 7
_CONNECT_SECONDS: Final = 3.0


class PreparationError(Exception):
    """Why the server cannot start; the text names the setting."""


def main() -> int:
    """0 where the workers can be started."""
    launch = Launch.from_environment()
    try:
        settings = config.load()
        log.configure("warning")
        result = asyncio.run(prepare(launch, settings))
    except RolesMissingError as error:
        print(f"DATABASE_OWNER_URL: the login may not create roles. Let somebody run:\n{error}", file=sys.stderr)
        return 1
    except (PreparationError, config.SettingsError, ConfigFileError, DatabaseUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    if launch.result_fd is not None:
        with os.fdopen(launch.result_fd, "w", encoding="utf-8") as stream:
            json.dump(result, stream)
    return 0


async def prepare(launch: Launch, settings: Settings) -> dict[str, str | None]:
    """What the supervisor shows: `model`, and on the first start the secrets. Raises what `main` prints."""
    await _check_database(launch, settings)
    await _check_valkey(launch)
    if settings.jwt_secret is None and not settings.production:
        _make_secret(launch.secret_file)
    await _bring_schema(launch, settings)
    root = config.root_secret(settings, launch.secret_file)
    ground = await Ground.open(settings, root, launch.database_url, launch.redis_url)
    try:
        return await _fill(launch, settings, ground)
    finally:
        await ground.close()


async def _fill(launch: Launch, settings: Settings, ground: Ground) -> dict[str, str | None]:
    capabilities = Capabilities(ground)
    try:
        if not await capabilities.subscriptions.default_plan_exists():
            raise PreparationError(f"TOLLBRIDGE_DEFAULT_PLAN: there is no plan {settings.default_plan!r}.")
        await ensure_signing_key(ground.database, ground.root.sealer("signing-key"), ground.clock, ground.random_bytes)
        await _check_secret(capabilities)
        await models_to_apply.apply(launch, ground)
        made = None if settings.production else await first_start.make(ground, capabilities)
        result: dict[str, str | None] = {"model": await models_to_apply.first_model(ground, capabilities.catalogue)}
        if made is not None:
            result |= {
                "api_key": made.api_key,
                "admin_email": made.admin_email,
                "admin_password": made.admin_password,
            }
        return result
    finally:
        capabilities.close()


async def _check_secret(capabilities: Capabilities) -> None:
    try:
        await capabilities.signing_keys.load()
    except SealBrokenError as error:
        raise PreparationError(
            "JWT_SECRET: this database was made with another root secret (JWT_SECRET, or DATA/secret where that is not "
            "set). Start with that one: keys, sessions and provider credentials depend on it."
        ) from error


async def _check_database(launch: Launch, settings: Settings) -> None:
    try:
        connection = await asyncpg.connect(launch.database_url or launch.database_owner_url, timeout=_CONNECT_SECONDS)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError) as error:
        if launch.embedded:
            # The embedded login is made by the migration.
            return
        raise PreparationError(f"DATABASE_URL: {error}.") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise PreparationError(f"DATABASE_URL: PostgreSQL cannot be reached: {_reason(error)}.") from error
    try:
        if int(await connection.fetchval("SHOW server_version_num")) < _LEAST_POSTGRESQL:
            raise PreparationError("DATABASE_URL: PostgreSQL 15 or newer is needed.")
        if settings.production and await connection.fetchval(_IS_PRIVILEGED, OWNER):
            raise PreparationError(
                "DATABASE_URL: this login is a superuser or may act as the owner; production wants the runtime login."
            )
    finally:
        await connection.close()


# Named query: prepare_is_privileged. Whether the login could reach past row level security.
_IS_PRIVILEGED: Final = """
SELECT rolsuper OR rolbypassrls OR EXISTS (
    SELECT FROM pg_roles o WHERE o.rolname = $1 AND pg_has_role(session_user, o.oid, 'MEMBER'))
FROM pg_roles WHERE rolname = session_user
"""


async def _check_valkey(launch: Launch) -> None:
    valkey: Redis = Redis.from_url(
        launch.redis_url, socket_timeout=_CONNECT_SECONDS, socket_connect_timeout=_CONNECT_SECONDS
    )
    try:
        version = str((await valkey.info("server"))["redis_version"])
    except (RedisError, OSError) as error:
        raise PreparationError(f"REDIS_URL: Valkey cannot be reached: {_reason(error)}.") from error
    finally:
        await valkey.aclose()
    if int(version.split(".", maxsplit=1)[0]) < _LEAST_REDIS:
        raise PreparationError(f"REDIS_URL: Redis 7 or newer, or Valkey, is needed; this is {version}.")


async def _bring_schema(launch: Launch, settings: Settings) -> None:
    if launch.embedded or not settings.production:
        try:
            await migrate(launch.database_owner_url, login_of(launch.database_url), datetime.now(UTC))
        except (OSError, asyncpg.PostgresError) as error:
            raise PreparationError(f"DATABASE_OWNER_URL: the database cannot be migrated: {error}.") from error
        return
    revision = await current_revision(launch.database_url)
    if revision != HEAD:
        raise PreparationError(
            f"The database is at revision {revision or 'none'}, this version needs {HEAD}: run `tollbridge migrate`."
        )


def _make_secret(path: Path) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(file, "w", encoding="ascii") as stream:
        stream.write(secrets.token_urlsafe(48))
        stream.flush()
        os.fsync(stream.fileno())


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
