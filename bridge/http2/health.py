"""A connection's server, asked for its health as long as the connection is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from grpc_health.v1 import health_pb2

from bridge.caller import Refusal
from bridge.http2 import status
from bridge.http2.call import GrpcCall
from bridge.http2.connection import Connection
from bridge.http2.head import head_of

_PATH: Final = "/grpc.health.v1.Health/Watch"
_PAUSE: Final = 1.0
_REQUEST: Final = health_pb2.HealthCheckRequest().SerializeToString()


async def serving(connection: Connection, named: str, secure: bool, tell: Callable[[bool], None]) -> None:
    """Tells whether the server says SERVING, whenever that changes; one without a health service serves.

    `named` and `secure` are what its calls name it, and whether they go over TLS.
    """
    head = head_of(_PATH, named, secure=secure)
    while True:
        call = GrpcCall(head, _REQUEST, health_pb2.HealthCheckResponse.FromString, whole=False)
        connection.open(call)
        try:
            while (answer := await call.read()) is not None:
                assert isinstance(answer, health_pb2.HealthCheckResponse)
                tell(answer.status == health_pb2.HealthCheckResponse.SERVING)
        except Refusal as refusal:
            if refusal.code == status.UNIMPLEMENTED:
                tell(True)
                return
        finally:
            await call.aclose()
        if not connection.open_for_calls:
            return
        tell(False)
        await asyncio.sleep(_PAUSE)
