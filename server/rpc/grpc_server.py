"""One gRPC server on a port, with the services that come from grpc itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from server.rpc.grpc_edge import SERVER_OPTIONS, GrpcEdge

_NOTICE_SECONDS: Final = 0.3
"""How long NOT_SERVING stands before connections are asked to go, so that whoever watches health looks away first."""


class GrpcServer:
    """Serves the pipeline's methods, health to everyone, and reflection where it is wanted."""

    def __init__(self, edge: GrpcEdge, services: Sequence[str], *, reflect: bool, share_port: bool) -> None:
        """`services` are the names that health and reflection know; `share_port` lets several processes listen."""
        self._services = services
        self._server = grpc.aio.server(options=[*SERVER_OPTIONS, ("grpc.so_reuseport", int(share_port))])
        self._server.add_generic_rpc_handlers((edge,))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if reflect:
            names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    async def start(self, address: str) -> int:
        """Serves on `host:port`, plaintext; returns the port. Raises OSError where it cannot be bound."""
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {address}: {error}") from error
        await self._server.start()
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def drain(self, seconds: float) -> None:
        """Says NOT_SERVING, waits, sends GOAWAY, and gives running calls `seconds` before they are cancelled."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(min(_NOTICE_SECONDS, seconds))
        await self._server.stop(seconds)
