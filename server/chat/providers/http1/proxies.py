"""Which proxy leads to a provider, by HTTP_PROXY, HTTPS_PROXY and NO_PROXY.

Read as curl and Go do: lower-case names win; NO_PROXY is a list of hosts, domains (which cover their subdomains),
addresses, networks in CIDR form, each with an optional port, or `*`. The loopback interface needs no proxy, ever: the
local model is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from server.chat.providers.http1.address import Origin, basic_authorization


class ProxySettingError(ValueError):
    """A proxy variable names no proxy that can be used; the text names the variable, never its value's password."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, itself reached without TLS."""

    host: str
    port: int
    authorization: str
    """Value of Proxy-Authorization; empty where none is asked for."""


class Proxies:
    """The choice of a proxy for each origin."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises `ProxySettingError`."""
        self._by_scheme = {scheme: _read(environment, f"{scheme}_proxy") for scheme in ("http", "https")}
        exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        self._exempt = [entry.strip().lower() for entry in exempt.split(",") if entry.strip()]

    def find(self, origin: Origin) -> Proxy | None:
        """The proxy that leads to an origin, None where it is reached directly."""
        proxy = self._by_scheme[origin.scheme]
        if proxy is None or _is_loopback(origin.host):
            return None
        return None if any(_covers(entry, origin) for entry in self._exempt) else proxy


def _read(environment: Mapping[str, str], name: str) -> Proxy | None:
    value = environment.get(name) or environment.get(name.upper()) or ""
    if not value:
        return None
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        raise ProxySettingError(f"{name.upper()} is no URL of a proxy") from None
    if parts.scheme != "http" or not host:
        raise ProxySettingError(f"{name.upper()} must be a URL that begins with http:// and names a host")
    return Proxy(host, port, basic_authorization(parts.username, parts.password))


def _is_loopback(host: str) -> bool:
    address = _parse(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _covers(entry: str, origin: Origin) -> bool:
    if entry == "*":
        return True
    address = _parse(origin.host)
    if address is not None and "/" in entry:
        try:
            return address in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, port = _split_port(entry)
    if port is not None and port != str(origin.port):
        return False
    if address is not None:
        return _parse(name.strip("[]")) == address
    domain = name.removeprefix("*").removeprefix(".")
    return bool(domain) and (origin.host == domain or origin.host.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, str | None]:
    name, colon, port = entry.rpartition(":")
    # More colons than one, and no bracket: an IPv6 address without a port.
    return (name, port) if colon and port.isdigit() and (":" not in name or name.endswith("]")) else (entry, None)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
