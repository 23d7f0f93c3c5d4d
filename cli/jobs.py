"""`tollbridge jobs`: the background work of a database as a process of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import structlog
import typer

from cli import log, process
from cli.serve import CHECKOUT_DATA
from cli.server import REFUSALS
from cli.status_port import status_port
from cli.storage_checks import check_database, check_revision, check_root_secret
from server import config
from server.app import Ground, Jobs
from server.auth.signing_keys import SigningKeys
from server.config import Settings


@dataclass(frozen=True)
class JobsOptions:
    """What `tollbridge jobs` was asked to do."""

    status_host: str
    status_port: int | None
    data_dir: Path
    ready_file: Path | None
    database_url: str
    redis_url: str


def jobs(
    status_host: Annotated[str, typer.Option(help="Address of --status-port.")] = "127.0.0.1",
    status_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="HTTP port of /metrics and /health; unset: none.")
    ] = None,
    data_dir: Annotated[
        Path,
        typer.Option(help="The servers' directory, by whose locks a dead one is recognised.", show_default="data/"),
    ] = CHECKOUT_DATA,
    ready_file: Annotated[Path | None, typer.Option(help="Write addresses here (mode 600) once it runs.")] = None,
) -> None:
    """Do the background work that is once per database (DATABASE_URL, REDIS_URL, JWT_SECRET).

    Any number may run: each piece of work takes its turn by a lock in the database.
    """
    try:
        settings = config.load()
    except config.SettingsError as error:
        process.refuse(str(error), 2)
    options = JobsOptions(
        status_host=status_host,
        status_port=status_port,
        data_dir=data_dir.absolute(),
        ready_file=ready_file,
        database_url=process.needed("DATABASE_URL"),
        redis_url=process.needed("REDIS_URL"),
    )
    log.configure(settings.log_level)
    process.run(lambda stop: work(options, settings, stop), REFUSALS)


async def work(options: JobsOptions, settings: Settings, stop: asyncio.Event) -> None:
    """Works until `stop` is set. Raises what `REFUSALS` names, StartError and OSError."""
    await check_database(options.database_url, settings.production)
    await check_revision(options.database_url)
    root = config.root_secret(settings, options.data_dir / "secret")
    ground = await Ground.open(settings, root, options.database_url, options.redis_url)
    logger = structlog.get_logger("jobs")
    try:
        # It makes signing keys when their time comes; by another root secret no server could open them.
        await check_root_secret(SigningKeys(ground.database, ground.root.sealer("signing-key"), ground.clock))
        running = Jobs(ground, options.data_dir)
        running.start()
        try:
            async with status_port(options, running.ready) as status:
                with process.ready_file(options.ready_file, status):
                    logger.info("working", **status)
                    await stop.wait()
                    logger.info("stopping")
        finally:
            await running.stop()
    finally:
        await ground.close()
