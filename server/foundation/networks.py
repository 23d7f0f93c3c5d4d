"""Networks that a caller's address must lie in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

_Network = IPv4Network | IPv6Network
_Masked = tuple[int, int, int, int]
"""IP version, network as a number, mask, length of the prefix."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as a socket that speaks both shows them (RFC 4291, 2.5.5.2)."""


class NetworkError(ValueError):
    """A text is no network; the message is the end of a sentence that begins with the text's place."""


def _masked(network: _Network) -> _Masked:
    return network.version, int(network.network_address), int(network.netmask), network.prefixlen


@dataclass(frozen=True, slots=True)
class Networks:
    """A list of networks. An empty one holds every address."""

    networks: tuple[_Network, ...] = ()
    _masks: tuple[_Masked, ...] = field(init=False, repr=False, compare=False)
    """The same as numbers, because a call that is checked against a hundred networks should not notice."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_masks", tuple(map(_masked, self.networks)))

    def __bool__(self) -> bool:
        return bool(self.networks)

    def contains(self, address: str) -> bool:
        """Whether the address lies in one of them. A text that is no address, such as a unix socket's, lies in none."""
        if not self.networks:
            return True
        found = _single(address)
        if found is None:
            return False
        version, number, length = found
        return any(
            number & mask == base and version == kind and length >= least for kind, base, mask, least in self._masks
        )

    def covers(self, others: Networks) -> bool:
        """Whether every address of `others` lies in these."""
        if not self.networks:
            return True
        return bool(others) and all(any(_inside(one, network) for network in self.networks) for one in others.networks)


ANYWHERE: Final = Networks()
"""No bound."""


def parse(texts: Iterable[str]) -> Networks:
    """The networks that `texts` name. Raises `NetworkError` for the first that is none."""
    return Networks(tuple(map(parse_one, texts)))


def parse_one(text: str) -> _Network:
    """The network of `10.0.0.0/8`, `2001:db8::/32`, or of one address. Mapped IPv4 becomes IPv4.

    Raises `NetworkError`, also for a network with bits beyond its prefix, which says two things.
    """
    if "%" in text:
        raise NetworkError("names a zone, which means something on one machine only")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise NetworkError("is no network such as 192.0.2.0/24 or 2001:db8::/32") from None
    if "/" in text and ip_address(text.partition("/")[0]) != network.network_address:
        raise NetworkError(f"has bits beyond its prefix; the network is {network}")
    return _unmapped(network)


def _unmapped(network: _Network) -> _Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network(f"{mapped}/{network.prefixlen - _MAPPED.prefixlen}")
    return network


@lru_cache(maxsize=4096)
def _single(address: str) -> tuple[int, int, int] | None:
    """IP version, number and length of the prefix, which is the whole address's; None for what is no address."""
    try:
        found = parse_one(address.partition("%")[0])
    except NetworkError:
        return None
    return found.version, int(found.network_address), found.prefixlen


def _inside(one: _Network, network: _Network) -> bool:
    if one.version != network.version:
        return False
    mask = int(network.netmask)
    return one.prefixlen >= network.prefixlen and int(one.network_address) & mask == int(network.network_address)
