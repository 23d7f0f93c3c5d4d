"""Options of a bridge about the servers behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Target = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="The servers; a name of several addresses is used in turn.")
]
TargetTls = Annotated[
    bool, typer.Option("--target-tls", help="Speak TLS with the servers; their authority is one of the system's.")
]
TargetAuthorities = Annotated[
    Path | None, typer.Option(help="PEM file of the servers' authorities; with TLS.", show_default="the system's")
]
TargetName = Annotated[str, typer.Option(help="Name in the servers' certificates.", show_default="the target's host")]
ClientCertificate = Annotated[
    Path | None, typer.Option(help="PEM file of the bridge's certificate for the servers. Reloaded likewise.")
]
ClientKey = Annotated[Path | None, typer.Option(help="PEM file of its private key.")]
