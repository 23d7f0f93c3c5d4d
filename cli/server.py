"""`tollbridge server`: the gRPC server as a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer

from cli import journal_folder, log, models_to_apply, process
from cli.edge_options import GrpcPort, Insecure, ReadyFile, TlsKey
from cli.overload import Overload
from cli.serve import CHECKOUT_DATA
from cli.status_port import status_port
from cli.storage_checks import PreparationError, check_contents, check_database, check_revision, check_valkey
from cli.supervisor.exposure import check_exposure, reachable_host
from cli.tls.certificate import TlsError, read_authorities
from cli.tls.contexts import grpc_credentials
from cli.tls.live_certificate import LiveCertificate, followed, read_pair
from server import config
from server.app import Capabilities, Ground, Server
from server.config import Settings
from server.models.config_errors import ConfigFileError
from server.rpc.grpc_server import GrpcDoor
from server.storage.database import DatabaseUnavailableError

SETTLE_SECONDS: Final = 1.5
REFUSALS: Final = (PreparationError, TlsError, config.SettingsError, ConfigFileError, DatabaseUnavailableError)


@dataclass(frozen=True)
class ServerOptions:
    """What `tollbridge server` was asked to do."""

    host: str
    grpc_port: int
    trusted_proxies: tuple[str, ...]
    insecure: bool
    tls_cert: Path | None
    tls_key: Path | None
    client_ca: Path | None
    bridge_names: frozenset[str]
    status_host: str
    status_port: int | None
    data_dir: Path
    config_file: Path | None
    jobs: bool
    ready_file: Path | None
    database_url: str
    redis_url: str


def server(
    host: Annotated[str, typer.Option(envvar="HOST", help="Address that gRPC listens on.")] = "127.0.0.1",
    grpc_port: GrpcPort = 50051,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate chain: TLS. Reloaded when it changes.")
    ] = None,
    tls_key: TlsKey = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="PEM file of authorities: every client must show a certificate of theirs.")
    ] = None,
    bridge_names: Annotated[
        str, typer.Option(metavar="NAME,…", help="Names in client certificates (CN or SAN) that count as bridges.")
    ] = "",
    trusted_proxies: Annotated[
        str, typer.Option(metavar="CIDR,…", help="Networks that only proxies ending TLS, or a private network, reach.")
    ] = "",
    insecure: Insecure = False,
    status_host: Annotated[str, typer.Option(help="Address of --status-port.")] = "127.0.0.1",
    status_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="HTTP port of /metrics and /health; unset: none.")
    ] = None,
    data_dir: Annotated[
        Path,
        typer.Option(help="Holds processes/, by whose locks a dead server is recognised.", show_default="data/"),
    ] = CHECKOUT_DATA,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="TOML file that names providers and models; applied at the start.")
    ] = None,
    jobs: Annotated[
        bool, typer.Option(help="Do the background work that is once per database here too; off where jobs does it.")
    ] = True,
    ready_file: ReadyFile = None,
) -> None:
    """Serve gRPC against a PostgreSQL and a Valkey of your own (DATABASE_URL, REDIS_URL, JWT_SECRET).

    `tollbridge migrate` comes first: a server never changes the schema. SIGTERM drains for TOLLBRIDGE_DRAIN_SECONDS.
    """
    try:
        settings = config.load()
    except config.SettingsError as error:
        process.refuse(str(error), 2)
    options = ServerOptions(
        host=host,
        grpc_port=grpc_port,
        trusted_proxies=process.parts(trusted_proxies),
        insecure=insecure,
        tls_cert=tls_cert,
        tls_key=tls_key,
        client_ca=client_ca,
        bridge_names=frozenset(process.parts(bridge_names)),
        status_host=status_host,
        status_port=status_port,
        data_dir=data_dir.absolute(),
        config_file=config_file,
        jobs=jobs,
        ready_file=ready_file,
        database_url=process.needed("DATABASE_URL"),
        redis_url=process.needed("REDIS_URL"),
    )
    log.configure(settings.log_level)
    process.run(lambda stop: serve(options, settings, stop), REFUSALS)


async def serve(options: ServerOptions, settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then drains. Raises what `REFUSALS` names, StartError and OSError."""
    tls = read_pair(options.tls_cert, options.tls_key)
    check_exposure(
        options.host,
        tls=tls is not None,
        trusted_proxies=options.trusted_proxies,
        insecure=options.insecure,
        production=settings.production,
    )
    door = _door(options, tls)
    journal_folder.check(settings.journal_dir)
    await check_database(options.database_url, settings.production)
    await check_valkey(options.redis_url)
    await check_revision(options.database_url)
    logger = structlog.get_logger("server")
    async with (
        followed(tls),
        _running(options, settings, door) as (running, port),
        status_port(options, running.ready) as status,
    ):
        address = f"{reachable_host(options.host)}:{port}"
        with process.ready_file(options.ready_file, {"grpc": address, **status}):
            logger.info("serving", grpc=address, **status)
            await stop.wait()
            logger.info("draining")
        await running.drain(settings.drain_seconds)


def _door(options: ServerOptions, tls: LiveCertificate | None) -> GrpcDoor:
    if tls is None:
        if options.client_ca is not None or options.bridge_names:
            raise TlsError("--client-ca and --bridge-names need TLS: give --tls-cert and --tls-key.")
        return GrpcDoor(share_port=False)
    if options.client_ca is None and options.bridge_names:
        raise TlsError("--bridge-names needs --client-ca, the authorities that sign clients' certificates.")
    authorities = None if options.client_ca is None else read_authorities(options.client_ca, "--client-ca")
    return GrpcDoor(False, grpc_credentials(tls, authorities), options.bridge_names)


@asynccontextmanager
async def _running(options: ServerOptions, settings: Settings, door: GrpcDoor) -> AsyncIterator[tuple[Server, int]]:
    root = config.root_secret(settings, options.data_dir / "secret")
    ground = await Ground.open(settings, root, options.database_url, options.redis_url)
    try:
        capabilities = Capabilities(ground)
        try:
            await check_contents(ground, capabilities)
            if options.config_file is not None:
                await models_to_apply.apply_file(options.config_file, ground)
            overload = Overload(settings.shed_after_milliseconds / 1000)
            running = Server(
                ground, capabilities, options.data_dir, door=door, run_jobs=options.jobs, overloaded=overload
            )
            port = await running.start(f"{_bracketed(options.host)}:{options.grpc_port}")
            try:
                yield running, port
            finally:
                await running.stop(SETTLE_SECONDS)
        finally:
            capabilities.close()
    finally:
        await ground.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
