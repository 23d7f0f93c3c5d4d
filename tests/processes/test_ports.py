"""Which ports and addresses `tollbridge serve` takes, and which it refuses."""

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from cli.supervisor.errors import ServeError
from cli.supervisor.exposure import check_exposure, reachable_host
from cli.supervisor.ports import open_ports

LOOPBACK = "127.0.0.1"


@pytest.fixture(params=["a plain listener", "a listener with SO_REUSEPORT"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        option = socket.SO_REUSEPORT if "REUSEPORT" in request.param else socket.SO_REUSEADDR
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_named_with_its_option(taken: int) -> None:
    with pytest.raises(ServeError, match=f"^Port {taken} on 127.0.0.1 is already in use: .*--http-port"):
        open_ports(LOOPBACK, taken, 0)
    with pytest.raises(ServeError, match=f"^Port {taken} on 127.0.0.1 is already in use: .*--grpc-port"):
        open_ports(LOOPBACK, 0, taken)


def test_a_held_grpc_port_is_refused_to_others_and_open_to_workers() -> None:
    ports = open_ports(LOOPBACK, 0, 0)
    http_port, grpc_port = ports.http_port, ports.grpc_port
    with closing(ports):
        with pytest.raises(ServeError, match="--grpc-port"):
            open_ports(LOOPBACK, 0, grpc_port)
        for _ in range(2):
            with socket.socket() as worker:
                worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                worker.bind((LOOPBACK, grpc_port))
                worker.listen()
                socket.create_connection((LOOPBACK, grpc_port), timeout=5).close()
    open_ports(LOOPBACK, http_port, grpc_port).close()


@pytest.mark.parametrize(
    ("host", "declared"),
    [
        ("127.0.0.1", {}),
        ("localhost", {"production": True}),
        ("::1", {}),
        ("0.0.0.0", {"insecure": True}),
        ("0.0.0.0", {"trusted_proxies": ("10.0.0.0/8", "fd00::/8")}),
        ("0.0.0.0", {"trusted_proxies": ("10.0.0.0/8",), "production": True}),
        ("0.0.0.0", {"tls": True, "production": True}),
    ],
)
def test_addresses_that_are_safe_or_declared_so_are_taken(host: str, declared: dict[str, Any]) -> None:
    check_exposure(host, **{"tls": False, **declared})


@pytest.mark.parametrize(
    ("host", "declared", "sentence"),
    [
        ("0.0.0.0", {}, "add --insecure"),
        ("::", {}, "add --insecure"),
        ("0.0.0.0", {"production": True}, "in production give --tls-cert"),
        ("0.0.0.0", {"production": True, "insecure": True}, "in production give --tls-cert"),
        ("127.0.0.1", {"trusted_proxies": ("10.0.0.1/8",)}, "'10.0.0.1/8' is not a network"),
        ("no.such.host.invalid", {}, "--host no.such.host.invalid is no address"),
    ],
)
def test_addresses_that_others_reach_are_refused(host: str, declared: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ServeError, match=re.escape(sentence)):
        check_exposure(host, **{"tls": False, **declared})


def test_addresses_are_shown_as_clients_write_them() -> None:
    assert reachable_host("0.0.0.0") == LOOPBACK
    assert reachable_host("::1") == "[::1]"
    assert reachable_host("localhost") == "localhost"
