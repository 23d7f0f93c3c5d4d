"""How a server is connected to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from bridge.http2.addresses import Address
from bridge.http2.call import GrpcCall
from bridge.http2.connection import Connection
from bridge.http2.errors import PROTOCOL_ERROR, ConnectionFault


@dataclass(frozen=True, slots=True)
class Dial:
    """What every connection to a target's servers is made with."""

    tls: ssl.SSLContext | None
    """None: plaintext."""
    certificate_name: str
    """The name in the servers' certificates, where it is not the target's host."""
    keepalive_seconds: float
    keepalive_timeout: float
    idle_pings: bool
    """Whether connections without calls are probed too."""


async def dial(
    address: Address, how: Dial, changed: Callable[[], None], again: Callable[[GrpcCall], None]
) -> Connection:
    """A connection whose server spoke. Raises OSError, `ssl.SSLError` among them, and `ConnectionFault`."""
    loop = asyncio.get_running_loop()

    def protocol() -> Connection:
        return Connection(changed, again, how.keepalive_seconds, how.keepalive_timeout, how.idle_pings)

    name = None if how.tls is None else how.certificate_name or address.name
    if address.port:
        transport, connection = await loop.create_connection(
            protocol, address.host, address.port, ssl=how.tls, server_hostname=name
        )
    else:
        transport, connection = await loop.create_unix_connection(
            protocol, address.host, ssl=how.tls, server_hostname=name
        )
    try:
        spoken = transport.get_extra_info("ssl_object")
        if spoken is not None and spoken.selected_alpn_protocol() != "h2":
            raise ConnectionFault(PROTOCOL_ERROR, "What answers does not speak HTTP/2.")
        await asyncio.shield(connection.ready)
    except BaseException:
        transport.abort()
        raise
    return connection
