"""One gRPC server on a port, with the services that come from grpc itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2

from server.rpc.foreign_services import Exposure, add_foreign_services
from server.rpc.grpc_edge import SERVER_OPTIONS, GrpcEdge
from server.rpc.port_sharing import prefer_newest

_NOTICE_SECONDS: Final = 0.3
"""How long NOT_SERVING stands before connections are asked to go, so that whoever watches health looks away first."""
_QUIET_SECONDS: Final = 0.02
_QUIET_LOOKS: Final = 300
_LOOK_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class GrpcDoor:
    """How a process's gRPC port is opened, and whom it believes."""

    share_port: bool = True
    """Whether several processes may listen on it."""
    credentials: grpc.ServerCredentials | None = None
    """TLS; None: plaintext."""
    bridge_names: frozenset[str] = frozenset()
    """Names in client certificates that count as bridges."""
    processes: int = 1
    """How many share the port, one that is about to leave not counted."""


class GrpcServer:
    """Serves the pipeline's methods, and grpc's own services to whom they are for."""

    def __init__(
        self,
        edge: GrpcEdge,
        services: Sequence[str],
        door: GrpcDoor,
        foreign: Mapping[str, Exposure],
        *,
        production: bool,
    ) -> None:
        """`services` are the names that health and reflection know; `foreign` are grpc's own services."""
        self._door = door
        self._edge = edge
        self._services = services
        self._server = grpc.aio.server(options=[*SERVER_OPTIONS, ("grpc.so_reuseport", int(door.share_port))])
        self._server.add_generic_rpc_handlers((edge,))
        self._health = health.aio.HealthServicer()
        add_foreign_services(self._server, foreign, services, self._health, production=production)

    async def start(self, address: str) -> int:
        """Serves on `host:port`; returns the port. Raises OSError where it cannot be bound."""
        credentials = self._door.credentials
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {address}: {error}") from error
        await self._server.start()
        if self._door.share_port:
            prefer_newest(port, self._door.processes)
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def drain(self, seconds: float) -> None:
        """Says NOT_SERVING, waits, sends GOAWAY, and gives running calls `seconds` before they are cancelled."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(min(_NOTICE_SECONDS, seconds))
        await self._quiet_moment()
        await self._server.stop(seconds)

    async def _quiet_moment(self) -> None:
        """Waits for one, for a while. grpc cancels calls that reach it between its end's beginning and the moment at
        which their client reads the GOAWAY, about a millisecond; they are few where none came just before."""
        for _ in range(_QUIET_LOOKS):
            if time.monotonic() - self._edge.last_begin >= _QUIET_SECONDS:
                return
            await asyncio.sleep(_LOOK_SECONDS)
