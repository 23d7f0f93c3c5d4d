"""One worker: the server and the bridge in one process, on the ports that the supervisor opened.

Started as `python -m cli.worker` with a `Launch` in its environment. Serves until SIGTERM, then drains.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import prometheus_client
import structlog
import uvloop

from bridge.app import Bridge
from bridge.catalog import Catalog
from bridge.meters import Meters
from bridge.settings import BridgeSettings
from cli import alias_files, log, metrics
from cli.in_process_caller import InProcessCaller
from cli.launch import Launch
from cli.overload import Overload
from cli.tls.certificate import TlsError
from cli.tls.contexts import grpc_credentials, http_context
from cli.tls.live_certificate import LiveCertificate, followed, read_pair
from server import config
from server.app import LAST_WORDS_SECONDS, Capabilities, Ground, Server
from server.config import VERSION, Settings
from server.rpc.grpc_server import GrpcDoor
from server.storage.database import DatabaseUnavailableError

GENERATED: Final = Path(__file__).resolve().parent.parent / "generated"
_SETTLE_SECONDS: Final = 1.5
_AFTER_DRAIN_SECONDS: Final = 4.0
"""What leaving may take beyond the drain: last words, settlements, and closing what is open."""


def main() -> int:
    """0 after a drain that was asked for."""
    launch = Launch.from_environment()
    settings = config.load()
    log.configure(settings.log_level)
    metrics.enter(launch.metrics_dir)
    try:
        uvloop.run(serve(launch, settings))
    except (OSError, DatabaseUnavailableError, config.SettingsError, TlsError) as error:
        print(f"The worker cannot start: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(launch: Launch, settings: Settings) -> None:
    """Serves until SIGTERM. Raises OSError, `DatabaseUnavailableError` and `SettingsError` where it cannot start."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tls = read_pair(launch.tls_cert, launch.tls_key)
    overload = Overload(settings.shed_after_milliseconds / 1000)
    async with (
        followed(tls),
        running_server(launch, settings, tls, overload) as server,
        running_bridge(launch, settings, server, tls, overload),
    ):
        _settle_memory()
        structlog.get_logger("worker").debug("serving", http_port=launch.http_port, grpc_port=launch.grpc_port)
        if launch.ready_fd is not None:
            os.write(launch.ready_fd, f"ready {settings.drain_seconds + _AFTER_DRAIN_SECONDS:g}\n".encode())
            os.close(launch.ready_fd)
        await stop.wait()
        structlog.get_logger("worker").info("draining")


@asynccontextmanager
async def running_server(
    launch: Launch, settings: Settings, tls: LiveCertificate | None, overload: Overload
) -> AsyncIterator[Server]:
    """The server with its gRPC port. Its end waits for settlements, so it must come after the bridge's."""
    root = config.root_secret(settings, launch.secret_file)
    ground = await Ground.open(settings, root, launch.database_url, launch.redis_url)
    try:
        capabilities = Capabilities(ground)
        door = GrpcDoor(credentials=None if tls is None else grpc_credentials(tls), processes=launch.workers)
        server = Server(ground, capabilities, launch.data_dir, door=door, overloaded=overload)
        await server.start(f"{_bracketed(launch.host)}:{launch.grpc_port}")
        try:
            yield server
        finally:
            await server.stop(_SETTLE_SECONDS)
            capabilities.close()
    finally:
        await ground.close()


@asynccontextmanager
async def running_bridge(
    launch: Launch, settings: Settings, server: Server, tls: LiveCertificate | None, overload: Overload
) -> AsyncIterator[Bridge]:
    """The bridge on the supervisor's listening socket. At its end both transports drain at once."""
    caller = InProcessCaller(server.methods, server.pipeline, server.clock, server.ready)
    catalog = Catalog.from_generated((GENERATED / "descriptors.binpb").read_bytes())
    bridge = Bridge(
        BridgeSettings(
            version=VERSION,
            trusted_proxies=launch.trusted_proxies,
            cors_origins=settings.cors_origins,
            openapi_path=GENERATED / "openapi.json",
        ),
        catalog,
        caller,
        new_request_id=server.new_request_id,
        render_metrics=partial(metrics.render, launch.metrics_dir),
        meters=Meters(prometheus_client.REGISTRY),
        aliases=alias_files.load(settings.aliases, catalog),
        overloaded=overload,
    )
    assert launch.http_fd is not None, "the supervisor hands the socket over"
    await bridge.start(socket.socket(fileno=launch.http_fd), None if tls is None else http_context(tls))
    try:
        yield bridge
    finally:
        await asyncio.gather(
            bridge.stop(settings.drain_seconds + LAST_WORDS_SECONDS), server.drain(settings.drain_seconds)
        )
        await caller.aclose()


def _settle_memory() -> None:
    """What start-up made stays for good, so the collector need not walk through it again: 7 % of a call's CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
