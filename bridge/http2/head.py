"""The header block that a call begins with."""

from __future__ import annotations

import re
from typing import Final

from bridge.caller import Metadata, Refusal
from bridge.http2 import hpack
from bridge.http2.status import INTERNAL, encode_binary

_VISIBLE: Final = re.compile(r"[\x20-\x7e]*")
_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_SECRETS: Final = frozenset({"authorization", "x-api-key"})
_LARGEST: Final = 99_999_999
"""grpc-timeout has at most eight digits."""


def head_of(path: str, authority: str, *, secure: bool) -> bytes:
    """What every call of a method begins with."""
    return b"".join(
        (
            hpack.METHOD_POST,
            hpack.SCHEME_HTTPS if secure else hpack.SCHEME_HTTP,
            hpack.field(":path", path),
            hpack.field(":authority", authority),
            hpack.field("te", "trailers"),
            hpack.field("content-type", "application/grpc"),
            hpack.field("user-agent", "tollbridge-bridge"),
            hpack.field("grpc-accept-encoding", "identity,deflate,gzip"),
        )
    )


WHOLE: Final = hpack.field("tollbridge-whole", "1")
"""Asks our servers for answers in one piece, as far as they are no events."""


def timeout_field(seconds: float) -> bytes:
    """How long the caller waits."""
    milliseconds = max(int(seconds * 1000), 1)
    text = f"{milliseconds}m" if milliseconds <= _LARGEST else f"{min(milliseconds // 1000, _LARGEST)}S"
    return hpack.field("grpc-timeout", text)


def metadata_fields(metadata: Metadata) -> bytes:
    """A call's metadata. Raises `Refusal` for what cannot travel."""
    return b"".join([_field(name, value) for name, value in metadata])


def _field(name: str, value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        value = encode_binary(value)
    elif not _VISIBLE.fullmatch(value):
        raise Refusal(INTERNAL, f"The metadata {name} holds characters outside visible ASCII.")
    if not _NAME.fullmatch(name):
        raise Refusal(INTERNAL, "The name of a metadata pair cannot travel.")
    return hpack.field(name, value, secret=name in _SECRETS)
