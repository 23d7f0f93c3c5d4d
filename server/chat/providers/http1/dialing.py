"""Makes connections: names, addresses in turn, tunnels through proxies, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, Final

from server.chat.providers.http1.connection import Connection
from server.chat.providers.http1.route import Route

_NAME_SECONDS: Final = 30.0
_MOST_NAMES: Final = 256
_NEXT_ADDRESS_SECONDS: Final = 0.25
"""RFC 8305, section 5: the next address is tried beside one that keeps silent."""
_MAX_TUNNEL_HEAD_BYTES: Final = 16 * 1024

_Found = tuple[socket.AddressFamily, tuple[Any, ...]]


class TunnelError(OSError):
    """The proxy did not open a tunnel."""


class Dialer:
    """Opens the connections of one process; a name is looked up at most every 30 seconds."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whom to trust; by default whom the system trusts. Certificates and names are always checked."""
        self._tls = tls
        self._names: dict[tuple[str, int], tuple[float, Sequence[_Found]]] = {}

    async def dial(self, route: Route, make: Callable[[], Connection]) -> Connection:
        """A connection that is ready for a request. Raises OSError (which TLS's errors are) and ValueError."""
        loop = asyncio.get_running_loop()
        proxy, origin = route.proxy, route.origin
        host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
        connected = await _connect_first(await self._look_up(host, port))
        try:
            if proxy is not None and origin.tls:
                await _open_tunnel(connected, origin.authority, proxy.authorization)
            _, connection = await loop.create_connection(
                make,
                sock=connected,
                ssl=self._context() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            connected.close()
            raise
        return connection

    async def _look_up(self, host: str, port: int) -> Sequence[_Found]:
        loop = asyncio.get_running_loop()
        kept = self._names.get((host, port))
        if kept is not None and loop.time() < kept[0]:
            return kept[1]
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = _alternating([(family, address) for family, _, _, _, address in found])
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        self._names[host, port] = (loop.time() + _NAME_SECONDS, addresses)
        return addresses

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            # Made on the first use: reading the system's certificates takes 20 ms and a megabyte.
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _alternating(found: Sequence[_Found]) -> Sequence[_Found]:
    """Both families in turn, the resolver's first choice first."""
    first = [each for each in found if each[0] == found[0][0]]
    second = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain.from_iterable(zip_longest(first, second)) if each is not None]


async def _connect_first(addresses: Sequence[_Found]) -> socket.socket:
    """The first address that takes the connection. Raises the last address's OSError."""
    if len(addresses) == 1:
        return await _connect(addresses[0])
    waiting = list(addresses)
    trying: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException | None = None
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.create_task(_connect(waiting.pop(0))))
            delay = _NEXT_ADDRESS_SECONDS if waiting else None
            done, trying = await asyncio.wait(trying, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failure = task.exception()
                if failure is None:
                    trying |= done - {task}
                    return task.result()
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_close_late)
    raise failure or OSError("the name has no address")


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect(found: _Found) -> socket.socket:
    family, address = found
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _open_tunnel(connected: socket.socket, authority: str, authorization: str) -> None:
    """Asks a proxy for a tunnel (RFC 9110, section 9.3.6). Raises `TunnelError`."""
    loop = asyncio.get_running_loop()
    credential = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    await loop.sock_sendall(
        connected, f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credential}\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Nothing comes after the head before we speak, unless it is no tunnel.
        received = await loop.sock_recv(connected, 4096)
        head += received
        if not received or len(head) > _MAX_TUNNEL_HEAD_BYTES or b"\r\n\r\n" in head[:-4]:
            raise TunnelError("the proxy's answer to CONNECT is no HTTP")
    status = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if not status[0].startswith(b"HTTP/1.") or len(status) < 2 or not status[1].startswith(b"2"):
        raise TunnelError(f"the proxy refused a tunnel: {head[:100]!r}")
