"""Taking the two ports before anything is started on them."""

import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from cli.supervisor.errors import ServeError
from cli.supervisor.exposure import addresses

BACKLOG = 4096


@dataclass(frozen=True)
class Ports:
    """Both ports, held until closed."""

    http: socket.socket
    """Listening; workers inherit it and accept."""
    grpc: socket.socket
    """Bound with SO_REUSEPORT and not listening: it keeps the number for workers of the same user."""

    @property
    def http_port(self) -> int:
        """The real port number."""
        return _number(self.http)

    @property
    def grpc_port(self) -> int:
        """The real port number."""
        return _number(self.grpc)

    def close(self) -> None:
        """Gives both ports back."""
        self.http.close()
        self.grpc.close()


def open_ports(host: str, http_port: int, grpc_port: int, patience: float = 0.0) -> Ports:
    """Takes both ports, 0 meaning any free one. Raises ServeError naming the port and the option.

    `patience` is how many seconds to go on trying while a port is in use: after a kill, old workers may be draining.
    """
    http = _patiently(lambda: _listen(host, http_port), f"--http-port {http_port}", host, patience)
    try:
        grpc = _patiently(lambda: _hold(host, grpc_port), f"--grpc-port {grpc_port}", host, patience)
    except BaseException:
        http.close()
        raise
    return Ports(http, grpc)


def listen(host: str, port: int, option: str) -> socket.socket:
    """A listening socket, 0 meaning any free port. Raises ServeError naming the port and the `option`."""
    return _patiently(lambda: _listen(host, port), f"{option} {port}", host, 0.0)


def _patiently(take: Callable[[], socket.socket], option: str, host: str, patience: float) -> socket.socket:
    give_up = time.monotonic() + patience
    while True:
        try:
            return take()
        except OverflowError:
            raise ServeError(f"{option} is not a port number (0 to 65535).") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < give_up:
                time.sleep(0.05)
                continue
            raise ServeError(_sentence(error, option, host)) from error


def _sentence(error: OSError, option: str, host: str) -> str:
    name, _, number = option.partition(" ")
    if error.errno == errno.EADDRINUSE:
        return f"Port {number} on {host} is already in use: choose another with {name} (0 takes a free one)."
    if error.errno == errno.EACCES:
        return f"Port {number} on {host} may not be used by this user: choose another with {name}."
    return f"--host {host} cannot be listened on ({error.strerror})."


def _listen(host: str, port: int) -> socket.socket:
    listener = _bound(host, port, socket.SO_REUSEADDR)
    try:
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _hold(host: str, port: int) -> socket.socket:
    if port:
        # A second listener with SO_REUSEPORT binds silently beside the first, so ask without that option.
        _bound(host, port, socket.SO_REUSEADDR).close()
    # Without SO_REUSEADDR, so that the question above, asked by another supervisor, fails on this socket too.
    return _bound(host, port, socket.SO_REUSEPORT)


def _bound(host: str, port: int, option: int) -> socket.socket:
    family, address = addresses(host)[0]
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _number(bound: socket.socket) -> int:
    number: int = bound.getsockname()[1]
    return number
