"""`tollbridge serve`: reads the options and turns into the supervisor."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.alias_names import VARIABLE as ALIASES
from cli.alias_names import absolute_names
from cli.edge_options import Aliases, GrpcPort, HttpPort, Insecure, TlsKey, TrustedProxies
from cli.supervisor.events import HELD_SIGNALS
from cli.supervisor.options import VARIABLE, ServeOptions

CHECKOUT_DATA: Final = Path(__file__).resolve().parent.parent / "data"


def serve(
    data_dir: Annotated[
        Path,
        typer.Option(help="Everything that is kept: databases, secrets, logs.", show_default="data/ in the checkout"),
    ] = CHECKOUT_DATA,
    host: Annotated[str, typer.Option(envvar="HOST", help="Address that both ports listen on.")] = "127.0.0.1",
    http_port: HttpPort = 8080,
    grpc_port: GrpcPort = 50051,
    config: Annotated[Path | None, typer.Option(help="TOML file that adds providers and models.")] = None,
    trusted_proxies: TrustedProxies = "",
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="PEM file of the certificate chain: TLS on both ports. Reloaded when it changes."),
    ] = None,
    tls_key: TlsKey = None,
    insecure: Insecure = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Write addresses, and the first start's secrets, here (mode 600) once everything serves."),
    ] = None,
    local_model: Annotated[
        bool, typer.Option(help="Run the small local model beside the configured providers (340 MB of memory).")
    ] = True,
    aliases: Aliases = "",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Server processes.")] = 1,
) -> None:
    """Start everything: PostgreSQL, Valkey, a small local model, the bridge and the gRPC server.

    DATABASE_URL (with DATABASE_OWNER_URL for migrations) and REDIS_URL name real servers to use instead of the embedded
    ones. ENVIRONMENT=production turns the conveniences of a first try off. Ctrl-C drains and stops every child; SIGHUP
    replaces the workers one by one, without a failed call, after applying the config file anew.

    The ready file is there while everything serves: it is removed at the stop, and so is one that a kill left.
    """
    options = ServeOptions(
        data_dir=data_dir.absolute(),
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        config_file=config.absolute() if config else None,
        trusted_proxies=tuple(part.strip() for part in trusted_proxies.split(",") if part.strip()),
        insecure=insecure,
        tls_cert=tls_cert.absolute() if tls_cert else None,
        tls_key=tls_key.absolute() if tls_key else None,
        ready_file=ready_file.absolute() if ready_file else None,
        workers=workers,
        local_model=local_model,
        environment=os.environ.get("ENVIRONMENT", "").strip().lower() or "development",
        database_url=os.environ.get("DATABASE_URL") or None,
        database_owner_url=os.environ.get("DATABASE_OWNER_URL") or None,
        redis_url=os.environ.get("REDIS_URL") or None,
    )
    # Held back, through exec, until the supervisor can stop in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    # A new program in the same process: what reading the command line took (40 MB) does not stay for the whole run.
    command = [sys.executable, "-P", "-m", "cli.supervisor"]
    environment = {**os.environ, VARIABLE: options.to_json()}
    if aliases:
        environment[ALIASES] = absolute_names(aliases)
    os.execve(sys.executable, command, environment)
