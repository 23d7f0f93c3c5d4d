"""Options that several commands with ports share, word for word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HttpPort = Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="REST and SSE; 0: any free port.")]
GrpcPort = Annotated[int, typer.Option(min=0, max=65535, help="gRPC; 0: any free port.")]
TrustedProxies = Annotated[str, typer.Option(metavar="CIDR,…", help="Networks whose forwarded addresses are believed.")]
TlsKey = Annotated[Path | None, typer.Option(help="PEM file of its private key.")]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Listen beyond this machine without TLS; refused in production.")
]
Aliases = Annotated[
    str,
    typer.Option(
        metavar="NAME,…", help="Systems whose documented calls are served too, and files of your own (.yaml)."
    ),
]
ReadyFile = Annotated[Path | None, typer.Option(help="Write addresses here (mode 600) once it serves.")]
