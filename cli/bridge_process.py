"""The bridge before servers elsewhere, from its socket to its drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import prometheus_client
import structlog

from bridge.app import Bridge
from bridge.catalog import Catalog
from bridge.descriptor_image import CatalogError
from bridge.foreign.policy import foreign_policy, unserved_methods
from bridge.grpc_caller import GrpcCaller
from bridge.meters import Meters
from bridge.origin import ProxyError
from bridge.origin_proof import OriginProver, proven_by, told
from bridge.policy import OWN, Policy
from bridge.router import RouteConflict
from bridge.settings import BridgeSettings
from bridge.target import Target, TargetError, TargetTls, grpc_name, probe
from cli import alias_files, process
from cli.alias_files import AliasError
from cli.foreign_options import Foreign
from cli.overload import Overload
from cli.supervisor.exposure import check_exposure, reachable_host
from cli.supervisor.ports import listen
from cli.tls.certificate import TlsError, read_authorities
from cli.tls.contexts import http_context
from cli.tls.live_certificate import LiveCertificate, followed, read_pair

GENERATED: Final = Path(__file__).resolve().parent.parent / "generated"
REFUSALS: Final = (AliasError, ProxyError, TargetError, TlsError)


@dataclass(frozen=True)
class BridgeOptions:
    """What `tollbridge bridge` was asked to do."""

    target: str
    """`host:port`, or a name that gRPC knows how to resolve."""
    host: str
    http_port: int
    trusted_proxies: tuple[str, ...]
    tls_cert: Path | None
    tls_key: Path | None
    insecure: bool
    production: bool
    target_tls: bool
    target_ca: Path | None
    target_name: str
    client_cert: Path | None
    client_key: Path | None
    bridge_secret: bytes | None = field(repr=False)
    ready_file: Path | None
    cors_origins: tuple[str, ...]
    aliases: tuple[str, ...]
    drain_seconds: float
    shed_after_seconds: float
    version: str
    new_request_id: Callable[[], str]
    foreign: Foreign | None = None
    """The service of --descriptors; None: the platform."""


class Servers:
    """The way to the servers: a target that is opened anew when the bridge's own certificate is replaced."""

    def __init__(self, options: BridgeOptions) -> None:
        """Reads the files. Raises `TlsError` and `TargetError`."""
        self._options = options
        self._name = grpc_name(options.target)
        self._authorities = None if options.target_ca is None else read_authorities(options.target_ca, "--target-ca")
        self._own = read_pair(options.client_cert, options.client_key, "--client")

    @property
    def target(self) -> Target:
        """How to speak to them now."""
        if not self._options.target_tls:
            return Target(self._name, ours=self._options.foreign is None)
        own = None if self._own is None else self._own.current
        tls = TargetTls(self._authorities, None if own is None else own.chain, None if own is None else own.key)
        return Target(self._name, tls, self._options.target_name, ours=self._options.foreign is None)

    @property
    def prover(self) -> OriginProver | None:
        """How the bridge proves itself: by BRIDGE_SECRET, else by its certificate, else not.

        A foreign server is told nothing.
        """
        if self._options.foreign is not None:
            return None
        if self._options.bridge_secret is not None:
            return proven_by(self._options.bridge_secret)
        return None if self._own is None else told

    def followed(self, caller: GrpcCaller) -> AbstractAsyncContextManager[None]:
        """Follows the bridge's certificate: new calls go out with the new one."""
        return followed(self._own, lambda: caller.renew(self.target))


async def serve(options: BridgeOptions, stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then drains. Raises what `REFUSALS` names, ServeError, StartError and OSError."""
    tls, servers = read_pair(options.tls_cert, options.tls_key), Servers(options)
    check_exposure(
        options.host,
        tls=tls is not None,
        trusted_proxies=options.trusted_proxies,
        insecure=options.insecure,
        production=options.production,
    )
    catalog, policy = _read_catalog(options.foreign)
    listening = listen(options.host, options.http_port, "--http-port")
    logger = structlog.get_logger("bridge")
    try:
        if not await probe(servers.target, options.target):
            logger.warning("no_server_yet", target=options.target)
        if servers.prover is None and options.foreign is None:
            logger.warning("origin_not_proven", why="without BRIDGE_SECRET servers take the bridge for every caller")
        caller = GrpcCaller(servers.target, catalog, servers.prover)
        try:
            async with followed(tls), servers.followed(caller):
                await _serve(options, _bridge(options, catalog, caller, policy), listening, tls, stop)
        finally:
            await caller.aclose()
    finally:
        listening.close()


async def _serve(
    options: BridgeOptions, bridge: Bridge, listening: socket.socket, tls: LiveCertificate | None, stop: asyncio.Event
) -> None:
    logger = structlog.get_logger("bridge")
    await bridge.start(listening, None if tls is None else http_context(tls))
    scheme = "http" if tls is None else "https"
    address = f"{scheme}://{reachable_host(options.host)}:{listening.getsockname()[1]}"
    with process.ready_file(options.ready_file, {"http": address}):
        logger.info("serving", http=address, target=options.target)
        await stop.wait()
        logger.info("draining")
    await bridge.stop(options.drain_seconds)


def _read_catalog(foreign: Foreign | None) -> tuple[Catalog, Policy]:
    if foreign is None:
        return Catalog.from_generated((GENERATED / "descriptors.binpb").read_bytes()), OWN
    catalog = foreign.read_catalog()
    try:
        policy = foreign_policy(catalog, foreign.options)
    except (CatalogError, RouteConflict) as error:
        raise foreign.refusal(error) from None
    for sentence in unserved_methods(catalog, policy):
        structlog.get_logger("bridge").warning("not_served", why=sentence)
    return catalog, policy


def _bridge(options: BridgeOptions, catalog: Catalog, caller: GrpcCaller, policy: Policy) -> Bridge:
    settings = BridgeSettings(
        version=options.version,
        trusted_proxies=options.trusted_proxies,
        cors_origins=options.cors_origins,
        openapi_path=GENERATED / "openapi.json" if options.foreign is None else None,
    )
    try:
        return Bridge(
            settings,
            catalog,
            caller,
            new_request_id=options.new_request_id,
            render_metrics=prometheus_client.generate_latest,
            meters=Meters(prometheus_client.REGISTRY),
            policy=policy,
            aliases=alias_files.load(options.aliases, catalog) if options.foreign is None else None,
            overloaded=Overload(options.shed_after_seconds),
        )
    except RouteConflict as error:
        if options.foreign is None:
            raise
        raise options.foreign.refusal(error) from None
