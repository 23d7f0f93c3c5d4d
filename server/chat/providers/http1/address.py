"""Where a URL leads: the origin that connections are kept for, and how a request to it begins."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_PATH_SAFE: Final = "/%:;=&?~+!$,'@()*[]"


@dataclass(frozen=True, slots=True)
class Origin:
    """A server, as URLs name it."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in ASCII, or an IP address without brackets."""
    port: int

    @property
    def tls(self) -> bool:
        """Whether it is reached by TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """`host:port`, with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        """The authority, without the scheme's own port (RFC 9110, section 7.2)."""
        return self.authority.removesuffix(f":{_PORTS[self.scheme]}")


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart."""

    origin: Origin
    path: str
    """Path and query, percent-encoded."""
    authorization: str
    """What the URL's user name and password come to as a header's value; empty where it has none."""


def read_url(url: str) -> Address:
    """Takes an http or https URL apart. Raises ValueError where it is none."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("the URL is neither http:// nor https:// with a host")
    host = parts.hostname
    if not host.isascii():
        host = host.encode("idna").decode()
    origin = Origin(parts.scheme, host, parts.port or _PORTS[parts.scheme])
    path = quote(parts.path or "/", safe=_PATH_SAFE) + (
        f"?{quote(parts.query, safe=_PATH_SAFE)}" if parts.query else ""
    )
    return Address(origin, path, basic_authorization(parts.username, parts.password))


def basic_authorization(user: str | None, password: str | None) -> str:
    """The value of a header by RFC 7617; empty without a user name. Both come percent-encoded, as in a URL."""
    if not user:
        return ""
    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
