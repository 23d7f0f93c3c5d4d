"""How a request gets to where a URL leads, and its head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from server.chat.providers.http1.address import Origin, read_url
from server.chat.providers.http1.proxies import Proxies, Proxy

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one URL."""

    origin: Origin
    proxy: Proxy | None
    opening: str
    """Request line and the fields that depend on the URL alone."""
    authorization: str
    """What the URL itself says; a header of the request wins over it."""


def find_route(url: str, proxies: Proxies) -> Route:
    """The way to a URL. Raises ValueError."""
    address = read_url(url)
    origin, proxy = address.origin, proxies.find(address.origin)
    if proxy is None or origin.tls:
        line = f"POST {address.path} HTTP/1.1\r\nHost: {origin.host_header}\r\n"
    else:
        # A proxy reads the whole URL (RFC 9112, section 3.2.2); a tunnel through it does not.
        line = f"POST http://{origin.host_header}{address.path} HTTP/1.1\r\nHost: {origin.host_header}\r\n"
        line += f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    return Route(origin, proxy, line, address.authorization)


def write_fields(route: Route, headers: Mapping[str, str]) -> bytes:
    """The request's head but for its length and the blank line. Raises ValueError for fields that would not stay one
    line."""
    lines = [route.opening]
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} cannot be sent")
        lines.append(f"{name}: {value}\r\n")
    if route.authorization and not any(name.lower() == "authorization" for name in headers):
        lines.append(f"Authorization: {route.authorization}\r\n")
    return "".join(lines).encode("latin-1")
