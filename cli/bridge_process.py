"""The bridge before servers elsewhere, from its socket to its drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import prometheus_client
import structlog

from bridge.app import Bridge
from bridge.catalog import Catalog
from bridge.grpc_caller import GrpcCaller
from bridge.meters import Meters
from bridge.origin import ProxyError
from bridge.settings import BridgeSettings
from cli import process
from cli.supervisor.exposure import reachable_host
from cli.supervisor.ports import listen

GENERATED: Final = Path(__file__).resolve().parent.parent / "generated"
REFUSALS: Final = (ProxyError,)


@dataclass(frozen=True)
class BridgeOptions:
    """What `tollbridge bridge` was asked to do."""

    target: str
    """`host:port`, or a name that gRPC knows how to resolve."""
    host: str
    http_port: int
    trusted_proxies: tuple[str, ...]
    ready_file: Path | None
    cors_origins: tuple[str, ...]
    drain_seconds: float
    version: str
    new_request_id: Callable[[], str]


async def serve(options: BridgeOptions, stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then drains. Raises what `REFUSALS` names, ServeError, StartError and OSError."""
    catalog = Catalog.from_generated((GENERATED / "descriptors.binpb").read_bytes())
    listening = listen(options.host, options.http_port, "--http-port")
    port = listening.getsockname()[1]
    caller = GrpcCaller(options.target, catalog)
    bridge = Bridge(
        BridgeSettings(
            version=options.version,
            trusted_proxies=options.trusted_proxies,
            cors_origins=options.cors_origins,
            openapi_path=GENERATED / "openapi.json",
        ),
        catalog,
        caller,
        new_request_id=options.new_request_id,
        render_metrics=prometheus_client.generate_latest,
        meters=Meters(prometheus_client.REGISTRY),
    )
    logger = structlog.get_logger("bridge")
    try:
        await bridge.start(listening)
        address = f"http://{reachable_host(options.host)}:{port}"
        with process.ready_file(options.ready_file, {"http": address}):
            logger.info("serving", http=address, target=options.target)
            await stop.wait()
            logger.info("draining")
        await bridge.stop(options.drain_seconds)
    finally:
        await caller.aclose()
        listening.close()
