"""Where a target's servers are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_BY_NAME: Final = ("dns:///", "dns:")
_SOCKETS: Final = ("unix:", "unix-abstract:")
_LISTS: Final = ("ipv4:", "ipv6:")


@dataclass(frozen=True, slots=True)
class Address:
    """One server."""

    host: str
    """An IP address; a socket's path where `port` is 0, with a NUL first for an abstract one."""
    port: int
    name: str
    """The name that its certificate is to carry."""


def authority(name: str) -> str:
    """What calls name as their `:authority`."""
    if name.startswith(_SOCKETS):
        return "localhost"
    for prefix in (*_BY_NAME, *_LISTS):
        if name.startswith(prefix):
            return name.removeprefix(prefix).split(",")[0]
    return name


async def resolve(name: str) -> Sequence[Address]:
    """Every address under a gRPC name (`host:port` as well). Raises OSError for one that is not known."""
    if name.startswith(_SOCKETS):
        kind, _, path = name.partition(":")
        return [Address(("\0" + path) if kind == "unix-abstract" else path.removeprefix("//"), 0, "localhost")]
    for prefix in _LISTS:
        if name.startswith(prefix):
            return [_address(one) for one in name.removeprefix(prefix).split(",")]
    for prefix in _BY_NAME:
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    given = _address(name)
    rows = await asyncio.get_running_loop().getaddrinfo(given.host, given.port, type=socket.SOCK_STREAM)
    found = dict.fromkeys((str(row[4][0]), int(row[4][1])) for row in rows)
    return [Address(host, port, given.host) for host, port in found]


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    return Address(host, int(port), host)
