"""`tollbridge bridge`: the HTTP edge as a process of its own, before servers elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import bridge_process, log, process
from cli.alias_names import names_of
from cli.bridge_process import BridgeOptions
from cli.foreign_options import (
    Auth,
    Descriptors,
    EnumNumbers,
    IgnoreUnknown,
    Pages,
    ProtoNames,
    Services,
    Zeros,
    foreign_service,
)
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
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate chain: HTTPS. Reloaded when it changes.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without TLS; refused in production.")
    ] = False,
    target_tls: Annotated[
        bool, typer.Option("--target-tls", help="Speak TLS with the servers; their authority is one of the system's.")
    ] = False,
    target_ca: Annotated[
        Path | None, typer.Option(help="PEM file of the servers' authorities; with TLS.", show_default="the system's")
    ] = None,
    target_name: Annotated[
        str, typer.Option(help="Name in the servers' certificates.", show_default="the target's host")
    ] = "",
    client_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the bridge's certificate for the servers. Reloaded likewise.")
    ] = None,
    client_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    aliases: Annotated[
        str,
        typer.Option(
            metavar="NAME,…", help="Systems whose documented calls are served too, and files of your own (.yaml)."
        ),
    ] = "",
    ready_file: Annotated[Path | None, typer.Option(help="Write addresses here (mode 600) once it serves.")] = None,
    descriptors: Descriptors = None,
    auth: Auth = False,
    service: Services = None,
    ignore_unknown: IgnoreUnknown = False,
    preserve_proto_field_names: ProtoNames = False,
    always_print_fields_with_no_presence: Zeros = False,
    print_enums_as_ints: EnumNumbers = False,
    pages: Pages = None,
) -> None:
    """Serve REST and SSE before gRPC servers elsewhere. Needs no database and no JWT_SECRET.

    With --descriptors it serves any gRPC server, by the google.api.http rules of its protos.

    SIGTERM drains for TOLLBRIDGE_DRAIN_SECONDS.
    """
    try:
        settings = config.load_edge()
        foreign = foreign_service(
            descriptors,
            auth=auth,
            services=service,
            ignore_unknown=ignore_unknown,
            proto_names=preserve_proto_field_names,
            zeros=always_print_fields_with_no_presence,
            enum_numbers=print_enums_as_ints,
            pages=pages,
            aliases=aliases,
        )
    except (config.SettingsError, process.StartError) as error:
        process.refuse(str(error), 2)
    options = BridgeOptions(
        target=target,
        host=host,
        http_port=http_port,
        trusted_proxies=process.parts(trusted_proxies),
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
        production=settings.production,
        target_tls=target_tls or target_ca is not None or client_cert is not None,
        target_ca=target_ca,
        target_name=target_name,
        client_cert=client_cert,
        client_key=client_key,
        bridge_secret=None if settings.bridge_secret is None else settings.bridge_secret.get_secret_value().encode(),
        ready_file=ready_file,
        foreign=foreign,
        cors_origins=settings.cors_origins,
        aliases=names_of(aliases) or settings.aliases,
        drain_seconds=settings.drain_seconds,
        version=config.VERSION,
        new_request_id=lambda: ids.to_text(ids.REQUEST, ids.uuid7()),
    )
    log.configure(settings.log_level)
    process.run(lambda stop: bridge_process.serve(options, stop), bridge_process.REFUSALS)
