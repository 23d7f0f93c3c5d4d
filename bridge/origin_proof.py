"""How a bridge proves to a server on another machine that the origin it tells is its own word.

The rule is in `server.rpc.origin_proof`, which is the other side of it.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.caller import Origin
from tollbridge.origin.v1 import origin_pb2

ORIGIN: Final = "tollbridge-origin-bin"
MAC: Final = "tollbridge-origin-mac-bin"
_LABEL: Final = b"tollbridge/bridge-origin"

OriginProver = Callable[[str, Origin], list[tuple[str, bytes]]]
"""Makes the metadata that tells a method's call's origin."""


def _now() -> int:
    return time.time_ns() // 1_000_000


def told(_method: str, origin: Origin) -> list[tuple[str, bytes]]:
    """The origin alone, for a bridge whose certificate is its proof."""
    return [(ORIGIN, _packed(origin))]


def proven_by(secret: bytes, unix_milliseconds: Callable[[], int] = _now) -> OriginProver:
    """A prover with BRIDGE_SECRET: time and HMAC-SHA-256 beside the origin."""
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_LABEL).derive(secret)

    # Copied for each call: what hashing the key leaves behind is the same for all of them.
    keyed = hmac.new(key, digestmod=hashlib.sha256)

    def prove(method: str, origin: Origin) -> list[tuple[str, bytes]]:
        packed, now = _packed(origin), unix_milliseconds()
        mac = keyed.copy()
        mac.update(b"%s\n%d\n%s" % (method.encode(), now, packed))
        return [(ORIGIN, packed), (MAC, now.to_bytes(8, "big") + mac.digest())]

    return prove


def _packed(origin: Origin) -> bytes:
    return origin_pb2.Origin(ip=origin.ip, scheme=origin.scheme, request_id=origin.request_id).SerializeToString()
