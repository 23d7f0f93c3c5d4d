"""Where a request came from: the socket's peer, or what proxies that we trust say about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from bridge.caller import Origin
from bridge.http.fields import RequestFields

_Address = IPv4Address | IPv6Address


class ProxyError(ValueError):
    """A trusted proxy is no network in CIDR form; the text names it."""


class OriginReader:
    """Makes the `Origin` of requests.

    X-Forwarded-For is read from the right, and only as far as trusted proxies wrote it: the first address that is not
    one of theirs is the client. Whatever stands left of it is the client's own claim and is not looked at.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Raises `ProxyError`."""
        try:
            self._networks = [ip_network(text, strict=False) for text in trusted_proxies]
        except ValueError as error:
            raise ProxyError(f"Trusted proxies: {error}.") from None
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    def read(self, peer: str, tls: bool, headers: RequestFields, request_id: str) -> Origin:
        """The origin of a request whose socket's peer is `peer` (empty for a Unix socket)."""
        scheme = "https" if tls else "http"
        if not self._networks or not self._is_trusted(peer):
            return Origin(_plain(peer), scheme, request_id)
        return Origin(self._client(peer, headers), _forwarded_scheme(headers) or scheme, request_id)

    def _client(self, peer: str, headers: RequestFields) -> str:
        client = peer
        entries = ",".join(headers.every("x-forwarded-for")).split(",")
        for entry in reversed(entries):
            address = _parse(_without_port(entry.strip()))
            if address is None:
                break
            client = str(address)
            if not self._is_trusted(client):
                break
        return _plain(client)

    def _look_up(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def _parse(text: str) -> _Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    address = _parse(text)
    return text if address is None else str(address)


def _without_port(entry: str) -> str:
    """The address of `1.2.3.4`, `1.2.3.4:5`, `[::1]:5` or `::1`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _forwarded_scheme(headers: RequestFields) -> str | None:
    claimed = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    return claimed if claimed in ("http", "https") else None
