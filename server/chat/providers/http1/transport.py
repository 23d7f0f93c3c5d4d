"""The transport over connections of our own: pooled, watched by one timer for all of them."""

from __future__ import annotations

import asyncio
import math
import os
import ssl
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from server.chat.providers.http1.address import Origin
from server.chat.providers.http1.connection import Connection
from server.chat.providers.http1.dialing import Dialer
from server.chat.providers.http1.patience import Patience
from server.chat.providers.http1.proxies import Proxies
from server.chat.providers.http1.route import Route, find_route, write_fields
from server.chat.providers.transport import ResponseTooLargeError, TransportError, TransportTimeoutError

_KEEP_SECONDS: Final = 15.0
_MOST_KEPT: Final = 1024
"""Idle connections to one origin."""
_MOST_HEADS: Final = 1024
_LONGEST_LOOK_SECONDS: Final = 1.0
_SHORTEST_LOOK_SECONDS: Final = 0.02
_LOOKS: Final = 4
"""How often the watch looks within the shortest patience."""


class PooledTransport:
    """One pool for the process. Make it inside the running event loop."""

    def __init__(
        self, patience: Patience, tls: ssl.SSLContext | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        """`tls`: whom to trust, by default the system's authorities. `environment`: where proxies are named.

        Raises `ProxySettingError`.
        """
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._dialer = Dialer(tls)
        self._proxies = Proxies(environment)
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Route, bytes]] = {}
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._watch: asyncio.TimerHandle | None = None
        shortest = min(patience.first_byte, patience.idle) / _LOOKS
        self._look_seconds = max(_SHORTEST_LOOK_SECONDS, min(_LONGEST_LOOK_SECONDS, shortest))

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        on_sent: Callable[[], None],
        longest: float = math.inf,
    ) -> PooledResponse:
        """As `Transport.post`.

        A kept connection that the other side closed without a byte of an answer is replaced by a new one, once: it
        closed while the request was on its way, as servers do with idle connections. Browsers do the same, for POST
        too; a provider that had begun to work when it broke may thus work twice.
        """
        try:
            route, fields = self._find_head(url, headers)
        except ValueError as error:
            raise TransportError(repr(error)) from error
        head = b"%bContent-Length: %d\r\n\r\n" % (fields, len(body))
        kept = self._take_kept(route.origin)
        if kept is not None:
            try:
                return await self._ask(kept, route, head, body, on_sent, longest)
            except TransportError:
                if not kept.was_gone:
                    raise
        return await self._ask(await self._dial(route), route, head, body, on_sent, longest)

    async def close(self) -> None:
        """Closes every connection."""
        for connection in tuple(self._open):
            connection.close()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def keep(self, connection: Connection, origin: Origin) -> None:
        """Takes a connection back whose answer was read whole; another is closed."""
        kept = self._idle.setdefault(origin, [])
        if not connection.keepable or len(kept) >= _MOST_KEPT:
            connection.close()
            return
        connection.rest(self._loop.time() + _KEEP_SECONDS)
        kept.append(connection)

    async def _ask(
        self,
        connection: Connection,
        route: Route,
        head: bytes,
        body: bytes,
        on_sent: Callable[[], None],
        longest: float,
    ) -> PooledResponse:
        try:
            on_sent()
            await connection.ask(head, body, self._patience.first_byte, longest)
        except BaseException:
            connection.close()
            raise
        return PooledResponse(self, connection, route.origin, self._patience.idle)

    def _find_head(self, url: str, headers: Mapping[str, str]) -> tuple[Route, bytes]:
        """The way to a URL and the request's head but for its length: the same for every call of one kind."""
        wanted = (url, tuple(headers.items()))
        head = self._heads.get(wanted)
        if head is None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            route = find_route(url, self._proxies)
            head = self._heads[wanted] = route, write_fields(route, headers)
        return head

    def _take_kept(self, origin: Origin) -> Connection | None:
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    async def _dial(self, route: Route) -> Connection:
        try:
            async with asyncio.timeout(self._patience.connect):
                connection = await self._dialer.dial(route, lambda: Connection(self._loop, self._forget))
        except TimeoutError as error:
            raise TransportTimeoutError("no connection in time") from error
        except (OSError, ValueError) as error:
            raise TransportError(repr(error)) from error
        self._open.add(connection)
        if self._watch is None:
            self._watch = self._loop.call_later(self._look_seconds, self._look)
        return connection

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        for kept in self._idle.values():
            if connection in kept:
                kept.remove(connection)

    def _look(self) -> None:
        """Ends whatever lasts too long: one timer for all waits, instead of one for each."""
        now = self._loop.time()
        for connection in tuple(self._open):
            if now >= connection.deadline:
                connection.expire()
        self._watch = self._loop.call_later(self._look_seconds, self._look) if self._open else None


class PooledResponse:
    """One answer."""

    __slots__ = ("_connection", "_fields", "_headers", "_idle_seconds", "_origin", "_pool", "status")

    def __init__(self, pool: PooledTransport, connection: Connection, origin: Origin, idle_seconds: float) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._origin = origin
        self._idle_seconds = idle_seconds
        self.status = connection.status
        self._fields = connection.fields
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """As `Response.headers`; of a repeated field all values, separated by commas."""
        if self._headers is None:
            self._headers = {}
            for raw_name, raw_value in self._fields:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
                self._headers[name] = f"{self._headers[name]}, {value}" if name in self._headers else value
        return self._headers

    def read(self) -> Coroutine[Any, Any, bytes]:
        """As `Response.read`."""
        if self._connection is None:
            raise TransportError("closed by us")
        return self._connection.read(self._idle_seconds)

    async def read_all(self, limit: int) -> bytes:
        """As `Response.read_all`."""
        parts: list[bytes] = []
        size = 0
        while part := await self.read():
            size += len(part)
            if size > limit:
                raise ResponseTooLargeError(f"more than {limit} bytes")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """As `Response.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.keep(connection, self._origin)
