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

import asyncpg

from cli import first_start, log, models_to_apply
from cli.launch import Launch
from cli.storage_checks import PreparationError, check_contents, check_database, check_revision, check_valkey
from cli.supervisor.data_dir import PENDING_SECRETS_FILE
from server import config
from server.app import Capabilities, Ground
from server.config import Settings
from server.models.config_errors import ConfigFileError
from server.storage.database import DatabaseUnavailableError
from server.storage.migrate import login_of, migrate
from server.storage.roles import RolesMissingError


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
    await check_database(
        launch.database_url or launch.database_owner_url, settings.production, login_may_be_missing=launch.embedded
    )
    await check_valkey(launch.redis_url)
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
        await check_contents(ground, capabilities)
        await models_to_apply.apply(launch, ground)
        pending = launch.data_dir / PENDING_SECRETS_FILE
        made = None if settings.production else await first_start.make(ground, capabilities, pending)
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


async def _bring_schema(launch: Launch, settings: Settings) -> None:
    if launch.embedded or not settings.production:
        try:
            await migrate(launch.database_owner_url, login_of(launch.database_url), datetime.now(UTC))
        except (OSError, asyncpg.PostgresError) as error:
            raise PreparationError(f"DATABASE_OWNER_URL: the database cannot be migrated: {error}.") from error
        return
    await check_revision(launch.database_url)


def _make_secret(path: Path) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(file, "w", encoding="ascii") as stream:
        stream.write(secrets.token_urlsafe(48))
        stream.flush()
        os.fsync(stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
