"""`tollbridge bridge`: the HTTP edge as a process of its own, before servers elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import bridge_process, log, process
from cli.alias_names import names_of
from cli.bridge_process import BridgeOptions
from cli.edge_options import Aliases, HttpPort, Insecure, ReadyFile, TlsKey, TrustedProxies
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
from cli.target_options import (
    ClientCertificate,
    ClientKey,
    Target,
    TargetAuthorities,
    TargetName,
    TargetTls,
)
from server import config
from server.foundation import ids


def bridge(
    target: Target,
    host: Annotated[str, typer.Option(envvar="HOST", help="Address that HTTP listens on.")] = "127.0.0.1",
    http_port: HttpPort = 8080,
    trusted_proxies: TrustedProxies = "",
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate chain: HTTPS. Reloaded when it changes.")
    ] = None,
    tls_key: TlsKey = None,
    insecure: Insecure = False,
    target_tls: TargetTls = False,
    target_ca: TargetAuthorities = None,
    target_name: TargetName = "",
    client_cert: ClientCertificate = None,
    client_key: ClientKey = None,
    aliases: Aliases = "",
    ready_file: ReadyFile = None,
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
        shed_after_seconds=settings.shed_after_milliseconds / 1000,
        version=config.VERSION,
        new_request_id=lambda: ids.to_text(ids.REQUEST, ids.uuid7()),
    )
    log.configure(settings.log_level)
    process.run(lambda stop: bridge_process.serve(options, stop), bridge_process.REFUSALS)
