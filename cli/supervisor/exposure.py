"""Which addresses may be listened on: a port that others can reach must not carry keys in clear text by accident."""

import ipaddress
import socket
from collections.abc import Sequence

from cli.supervisor.errors import ServeError


def check_exposure(
    host: str, *, tls: bool, trusted_proxies: Sequence[str] = (), insecure: bool = False, production: bool = False
) -> None:
    """Raises ServeError when --trusted-proxies is malformed, or --host is wider than what was declared safe."""
    for network in trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ServeError(f"--trusted-proxies: {network!r} is not a network in CIDR form ({error}).") from error
    if tls or trusted_proxies or is_loopback(host):
        return
    if production:
        raise ServeError(
            f"--host {host} is reachable from other machines: in production give --tls-cert and --tls-key, or declare "
            "the proxies that end TLS with --trusted-proxies."
        )
    if not insecure:
        raise ServeError(
            f"--host {host} is reachable from other machines and the port would be plaintext: give --tls-cert and "
            "--tls-key, declare the proxies that end TLS with --trusted-proxies, or add --insecure."
        )


def is_loopback(host: str) -> bool:
    """Whether every address of `host` is this machine's own. Raises ServeError when it has none."""
    return all(ipaddress.ip_address(address).is_loopback for _, address in addresses(host))


def addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of `host`, the preferred one first. Raises ServeError when it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServeError(f"--host {host} is no address of this machine ({error.strerror}).") from error
    return [(family, str(address[0]).partition("%")[0]) for family, _, _, _, address in found]


def reachable_host(host: str) -> str:
    """`host` as a client on this machine writes it in a URL: an address for "everywhere" becomes loopback."""
    address = addresses(host)[0][1] if host in {"", "0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    return f"[{shown}]" if ":" in shown else shown
