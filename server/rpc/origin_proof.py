"""Who may say where a call came from: a bridge that proves itself, and nobody else.

A proof is a certificate with a name that was declared a bridge's, or the metadata `tollbridge-origin-mac-bin`: eight
bytes of Unix milliseconds (big-endian), then HMAC-SHA-256 over method, time and origin with a key from BRIDGE_SECRET.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from google.protobuf.message import DecodeError
from prometheus_client import Counter

from server.foundation.clock import Clock
from server.foundation.secrets import RootSecret
from server.rpc.principal import Origin
from tollbridge.origin.v1 import origin_pb2

ORIGIN: Final = "tollbridge-origin-bin"
MAC: Final = "tollbridge-origin-mac-bin"
VALID_SECONDS: Final = 60.0
"""How old a proof may be, or how far ahead a bridge's clock."""

_LOG_SECONDS: Final = 60.0
_TIME_BYTES: Final = 8
_MAC_BYTES: Final = 32
_RESERVED: Final = "tollbridge-"
WHOLE: Final = "tollbridge-whole"
"""Asks for whole answers at once, see `server.rpc.whole_answers`. Anybody may: it claims nothing."""
FORWARDED: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"})
_SCHEMES: Final = frozenset({"http", "https"})
_MOST_CHARACTERS: Final = 64

_STRIPPED: Final = Counter(
    "tollbridge_stripped_metadata",
    "Calls whose metadata claimed what its sender may not claim, by what it was.",
    ["claim"],
)

Metadata = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection."""

    ip: str
    names: Collection[str] = ()
    """Names of its verified certificate; none without TLS."""


class OriginProof:
    """Decides what is believed of the metadata of one server's calls."""

    def __init__(self, clock: Clock, secret: bytes | None = None, bridge_names: Collection[str] = ()) -> None:
        """`secret` is BRIDGE_SECRET; `bridge_names` are the certificate names that count as bridges."""
        self._clock = clock
        key = None if secret is None else RootSecret(secret).derive("bridge-origin")
        # Copied for each call: what hashing the key leaves behind is the same for all of them, and a copy's short
        # update keeps the interpreter's lock, for which grpc's thread would wait otherwise.
        self._keyed = None if key is None else hmac.new(key, digestmod=hashlib.sha256)
        self._bridge_names = frozenset(bridge_names)
        self._log = structlog.get_logger("origin")
        self._last_logged: dict[str, float] = {}

    @property
    def looks_at_names(self) -> bool:
        """Whether a peer's names matter."""
        return bool(self._bridge_names)

    def origin_of(self, method: str, pairs: Metadata, peer: Peer, new_request_id: Callable[[], str]) -> Origin:
        """Where the call came from: as its bridge says, else the peer itself and a new request id."""
        claims: Mapping[str, str | bytes] | None = None
        forwarded = False
        for name, value in pairs:
            if name == WHOLE:
                continue
            if name.startswith(_RESERVED):
                claims = {**(claims or {}), name: value}
            elif name in FORWARDED:
                forwarded = True
        if forwarded:
            self._strip("forwarded", peer)
        told = None if claims is None else self._believed(method, claims, peer)
        return told or Origin(peer.ip, "grpc", new_request_id())

    def _believed(self, method: str, claims: Mapping[str, str | bytes], peer: Peer) -> Origin | None:
        origin = claims.get(ORIGIN)
        if not isinstance(origin, bytes):
            self._strip("reserved", peer)
            return None
        fault = "" if self._bridge_names.intersection(peer.names) else self._fault(method, origin, claims.get(MAC))
        if fault:
            self._strip(fault, peer)
            return None
        return _read(origin)

    def _fault(self, method: str, origin: bytes, proof: str | bytes | None) -> str:
        """What is wrong with a proof; empty for a good one."""
        if self._keyed is None or not isinstance(proof, bytes) or len(proof) != _TIME_BYTES + _MAC_BYTES:
            return "origin_without_proof"
        milliseconds = int.from_bytes(proof[:_TIME_BYTES], "big")
        # Neither a method nor a number holds a line feed, so that nothing can be read two ways.
        mac = self._keyed.copy()
        mac.update(b"%s\n%d\n%s" % (method.encode(), milliseconds, origin))
        if not hmac.compare_digest(proof[_TIME_BYTES:], mac.digest()):
            return "origin_forged"
        if abs(_unix_milliseconds(self._clock.now()) - milliseconds) > VALID_SECONDS * 1000:
            return "origin_expired"
        return ""

    def _strip(self, claim: str, peer: Peer) -> None:
        _STRIPPED.labels(claim).inc()
        now = self._clock.monotonic()
        if now - self._last_logged.get(claim, float("-inf")) < _LOG_SECONDS:
            return
        self._last_logged[claim] = now
        self._log.warning("metadata_stripped", claim=claim, ip=peer.ip, names=sorted(peer.names))


def _read(origin: bytes) -> Origin | None:
    try:
        told = origin_pb2.Origin.FromString(origin)
    except DecodeError:
        return None
    if told.scheme not in _SCHEMES or not 0 < len(told.request_id) <= _MOST_CHARACTERS:
        return None
    return Origin(told.ip[:_MOST_CHARACTERS], told.scheme, told.request_id)


def _unix_milliseconds(now: datetime) -> int:
    return int(now.timestamp() * 1000)
