"""The servers of one target: a connection to each, and whose turn a call is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.caller import Refusal
from bridge.http2 import status
from bridge.http2.addresses import Address, authority, resolve
from bridge.http2.call import GrpcCall
from bridge.http2.connection import Connection
from bridge.http2.dial import Dial, dial
from bridge.http2.errors import ConnectionFault
from bridge.http2.health import serving

_CONNECT_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 3.0
_RESOLVE_SECONDS: Final = 5.0
"""A name is looked up again while one of its servers is away, at most this often."""
_MOST_TRIES: Final = 3
_AWAY: Final = (OSError, ConnectionFault, TimeoutError)


@dataclass(slots=True)
class _Server:
    """One address, and the task that keeps a connection to it."""

    task: asyncio.Task[None]
    connection: Connection | None = None
    healthy: bool = False
    failed: str = ""
    """Why the last attempt failed; empty while none has since it was last there."""


class Channel:
    """Calls go to each server in turn, of those that are connected and say SERVING.

    The first call connects. Where no server is there yet, calls wait; where all failed to connect, calls fail until one
    is back. What a server did not look at, because it was leaving, goes to another.
    """

    def __init__(self, name: str, how: Dial) -> None:
        """`name` as `resolve` has it."""
        self._name = name
        self._how = how
        self._servers: dict[Address, _Server] = {}
        self._ready: Sequence[Connection] = ()
        self._turn = 0
        self._waiting: dict[GrpcCall, None] = {}
        self._finding: asyncio.Task[None] | None = None
        self._unknown = ""
        self._look_again = asyncio.Event()
        self._draining: set[Connection] = set()
        self._closed = False

    def start(self, call: GrpcCall) -> None:
        """Sends a call, as soon as there is a connection."""
        if self._closed:
            call.fail(_closed())
            return
        if call.ended:
            return
        if self._finding is None:
            self._finding = asyncio.create_task(self._find(), name="grpc-addresses")
        connection = self._pick()
        if connection is not None:
            connection.open(call)
            return
        call.waits_for(self._forget)
        self._waiting[call] = None
        self._fail_where_hopeless()

    def drain(self) -> None:
        """No further calls; what runs comes to its end."""
        self._stop_tasks()
        for server in self._servers.values():
            if server.connection is not None:
                self._draining.add(server.connection)
                server.connection.drain()

    async def aclose(self) -> None:
        """Ends every call with CANCELLED, and the connections."""
        tasks = self._stop_tasks()
        for call in tuple(self._waiting):
            call.fail(_closed())
        for connection in (*self._draining, *(server.connection for server in self._servers.values())):
            if connection is not None:
                connection.close(_closed())
        await asyncio.gather(*tasks, return_exceptions=True)

    # Inside.

    def _stop_tasks(self) -> list[asyncio.Task[None]]:
        self._closed = True
        tasks = [server.task for server in self._servers.values()]
        if self._finding is not None:
            tasks.append(self._finding)
        for task in tasks:
            task.cancel()
        return tasks

    def _pick(self) -> Connection | None:
        for _ in self._ready:
            self._turn = (self._turn + 1) % len(self._ready)
            if self._ready[self._turn].open_for_calls:
                return self._ready[self._turn]
        return None

    def _forget(self, call: GrpcCall) -> None:
        self._waiting.pop(call, None)

    def _again(self, call: GrpcCall) -> None:
        """A call that a server did not look at."""
        call.tries += 1
        if call.tries > _MOST_TRIES:
            call.fail(Refusal(status.UNAVAILABLE, "No server took the call."))
        elif not call.ended:
            # Not now: the connection that gives it back is in the middle of a frame.
            asyncio.get_running_loop().call_soon(self.start, call)

    def _changed(self) -> None:
        """A connection came, left, or can take calls again."""
        servers = self._servers.values()
        self._ready = [
            server.connection for server in servers if server.healthy and server.connection and not _is_leaving(server)
        ]
        while self._waiting:
            connection = self._pick()
            if connection is None:
                break
            call = next(iter(self._waiting))
            del self._waiting[call]
            connection.open(call)
        self._fail_where_hopeless()

    def _fail_where_hopeless(self) -> None:
        why = self._unknown or self._why_none()
        if not why:
            return
        for call in tuple(self._waiting):
            call.fail(Refusal(status.UNAVAILABLE, f"No server can be reached: {why}"))

    def _why_none(self) -> str:
        """Why no server can be expected soon; empty where one can."""
        if self._ready or not self._servers or not all(server.failed for server in self._servers.values()):
            return ""
        return next(server.failed for server in self._servers.values())

    async def _find(self) -> None:
        """Looks the name up, and again where a server is away."""
        while True:
            try:
                self._use(await resolve(self._name))
            except OSError as error:
                if not self._servers:
                    self._unknown = f"the name is not known ({error.strerror or error})."
                    self._fail_where_hopeless()
            else:
                self._unknown = ""
            await asyncio.sleep(_RESOLVE_SECONDS)
            if self._servers:
                await self._look_again.wait()
            self._look_again.clear()

    def _use(self, addresses: Sequence[Address]) -> None:
        for address in set(self._servers) - set(addresses):
            server = self._servers.pop(address)
            server.task.cancel()
            if server.connection is not None:
                self._draining.add(server.connection)
                server.connection.drain()
        for address in addresses:
            if address not in self._servers:
                task = asyncio.create_task(self._keep(address), name="grpc-connection")
                self._servers[address] = _Server(task)
        self._changed()

    async def _keep(self, address: Address) -> None:
        """Keeps a connection to one server, for as long as the name has it."""
        pause = _FIRST_PAUSE
        while True:
            server = self._servers[address]
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    connection = await dial(address, self._how, self._changed, self._again)
            except _AWAY as error:
                server.failed = str(error) or "nothing answered."
                self._look_again.set()
                self._changed()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            server.connection, pause = connection, _FIRST_PAUSE
            await self._use_while_open(server, connection)
            self._look_again.set()

    async def _use_while_open(self, server: _Server, connection: Connection) -> None:
        def tell(healthy: bool) -> None:
            server.healthy = healthy
            server.failed = "" if healthy else "the server says that it does not serve."
            self._changed()

        named = self._how.certificate_name or authority(self._name)
        watching = asyncio.create_task(serving(connection, named, self._how.tls is not None, tell), name="grpc-health")
        try:
            await asyncio.shield(connection.gone)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            server.healthy, server.failed = False, ""
            if server.connection is connection and not self._closed:
                server.connection = None
                self._keep_until_empty(connection)
            self._changed()

    def _keep_until_empty(self, connection: Connection) -> None:
        """A connection that was left ends with its last call; until then it must be closed with us."""
        self._draining = {left for left in self._draining if left.calls}
        if connection.calls:
            self._draining.add(connection)
        connection.drain()


def _is_leaving(server: _Server) -> bool:
    return server.connection is None or server.connection.gone.done()


def _closed() -> Refusal:
    return Refusal(status.CANCELLED, "The bridge is shutting down.")
