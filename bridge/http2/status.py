"""How a call ended: gRPC's trailers, and what stands for them where none came."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from bridge.caller import Refusal
from bridge.http2.hpack import Field

CANCELLED: Final = 1
UNKNOWN: Final = 2
DEADLINE_EXCEEDED: Final = 4
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14

_DETAILS: Final = "grpc-status-details-bin"
_OWN: Final = frozenset(
    {"content-type", "grpc-status", "grpc-message", "grpc-encoding", "grpc-accept-encoding", "grpc-server-stats-bin"}
)
_INITIAL: Final = "tollbridge-initial"
"""The server's side of it is `server.rpc.whole_answers`."""
_GRPC: Final = "application/grpc"
_OF_HTTP: Final = {400: INTERNAL, 401: 16, 403: 7, 404: UNIMPLEMENTED, 429: 14, 502: 14, 503: 14, 504: 14}
"""gRPC's table of HTTP statuses, for whatever stands between and is no gRPC server."""
_OF_RESET: Final = {0x7: UNAVAILABLE, 0x8: CANCELLED, 0xB: RESOURCE_EXHAUSTED, 0xC: 7}
"""gRPC's table of HTTP/2's error codes; the others are INTERNAL."""
_MOST_CODE: Final = 16

Pairs = list[tuple[str, str | bytes]]


def metadata(fields: Iterable[Field]) -> Pairs:
    """The metadata among a block's fields. Of a binary field that is no base64 nothing is kept."""
    found: Pairs = []
    for name, value in fields:
        if name.startswith(":") or name in _OWN:
            continue
        if not name.endswith("-bin"):
            found.append((name, value))
            continue
        found.extend((name, part) for part in _binaries(value))
    return found


def split(trailing: Pairs) -> tuple[Pairs, Pairs] | None:
    """Initial and trailing metadata of an answer that our servers sent in one piece; None for any other."""
    if not trailing or trailing[0][0] != _INITIAL:
        return None
    count = trailing[0][1]
    end = 1 + (int(count) if isinstance(count, str) and count.isdecimal() else 0)
    return trailing[1:end], trailing[end:]


def foreign_answer(fields: Iterable[Field]) -> Refusal | None:
    """What an answer's head says if it is none of a gRPC server."""
    status, content_type = "", ""
    for name, value in fields:
        if name == ":status":
            status = value
        elif name == "content-type":
            content_type = value
    if status != "200":
        code = _OF_HTTP.get(int(status) if status.isdecimal() else 0, UNKNOWN)
        return Refusal(code, f"The server answered with HTTP status {status[:3]} instead of gRPC.")
    if not content_type.startswith(_GRPC):
        return Refusal(UNKNOWN, "The server's answer is no gRPC.")
    return None


def ending(fields: list[Field]) -> tuple[Refusal | None, Pairs]:
    """The refusal in a call's last block, if it is one, and the block's metadata."""
    status, text, details = None, "", b""
    for name, value in fields:
        if name == "grpc-status":
            status = value
        elif name == "grpc-message":
            text = unquote(value)
        elif name == _DETAILS:
            details = next(_binaries(value), b"")
    pairs = metadata(fields)
    if status == "0":
        return None, pairs
    if status is None:
        return Refusal(UNKNOWN, "The server ended the call without a status."), pairs
    code = int(status) if status.isdecimal() and 0 < len(status) < 3 else UNKNOWN
    rest = [pair for pair in pairs if pair[0] != _DETAILS]
    return Refusal(code if code <= _MOST_CODE else UNKNOWN, text, details, rest), pairs


def of_reset(code: int) -> Refusal:
    """A call that the server ended without an answer."""
    return Refusal(_OF_RESET.get(code, INTERNAL), f"The server ended the call (HTTP/2 error {code}).")


def encode_binary(value: bytes) -> str:
    """A binary field's value as it travels."""
    return base64.b64encode(value).rstrip(b"=").decode()


def _binaries(value: str) -> Iterator[bytes]:
    for part in value.split(","):
        try:
            yield base64.b64decode(part + "=" * (-len(part) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
