"""`tollbridge bridge`: the HTTP edge as a process of its own, before servers elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import bridge_process, log, process
from cli.bridge_process import BridgeOptions
from server import config
from server.foundation import ids


def bridge(
    target: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The servers; a name of several addresses is used in turn.")
    ],
    host: Annotated[str, typer.Option(envvar="HOST", help="Address that HTTP listens on.")] = "127.0.0.1",
    http_port: Annotated[
        int, typer.Option(envvar="PORT", min=0, max=65535, help="REST and SSE; 0: any free port.")
    ] = 8080,
    trusted_proxies: Annotated[
        str, typer.Option(metavar="CIDR,…", help="Networks whose forwarded addresses are believed.")
    ] = "",
    ready_file: Annotated[Path | None, typer.Option(help="Write addresses here (mode 600) once it serves.")] = None,
) -> None:
    """Serve REST and SSE before gRPC servers elsewhere. Needs no database and no JWT_SECRET.

    SIGTERM drains for TOLLBRIDGE_DRAIN_SECONDS.
    """
    try:
        settings = config.load_edge()
    except config.SettingsError as error:
        process.refuse(str(error), 2)
    options = BridgeOptions(
        target=target,
        host=host,
        http_port=http_port,
        trusted_proxies=tuple(part.strip() for part in trusted_proxies.split(",") if part.strip()),
        ready_file=ready_file,
        cors_origins=settings.cors_origins,
        drain_seconds=settings.drain_seconds,
        version=config.VERSION,
        new_request_id=lambda: ids.to_text(ids.REQUEST, ids.uuid7()),
    )
    log.configure(settings.log_level)
    process.run(lambda stop: bridge_process.serve(options, stop), bridge_process.REFUSALS)
