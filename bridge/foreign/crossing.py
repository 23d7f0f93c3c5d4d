"""Headers and metadata of a foreign service: everything passes both ways but what is about HTTP or gRPC itself.

`Grpc-Metadata-Name: value` arrives as `name`, for clients that keep to that convention. A value under a name that ends
in `-bin` is base64. `Grpc-Timeout` (`5S`, `200m`, as gRPC writes it) is the call's deadline.
"""

from __future__ import annotations

import base64
import binascii
import re

from bridge.caller import Metadata
from bridge.errors import CredentialMissing, InvalidRequest
from bridge.http.fields import AnswerFields
from bridge.http.request import Request

_OF_HTTP = frozenset(
    [
        *("accept", "accept-charset", "accept-encoding", "connection", "content-encoding", "content-length"),
        *("content-type", "date", "expect", "host", "http2-settings", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "server", "te", "trailer", "transfer-encoding", "upgrade"),
        "user-agent",
    ]
)
_RESERVED = ("grpc-", "tollbridge-")
_PREFIX = "grpc-metadata-"
_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class ForeignCrossing:
    """What crosses the bridge beside the messages."""

    def request_metadata(self, request: Request, wants_credential: bool) -> list[tuple[str, str | bytes]]:
        """The metadata of a call. What gRPC cannot carry (text beyond visible ASCII) stays behind.

        Raises `CredentialMissing`, and `InvalidRequest` for a `-bin` header that is not base64.
        """
        headers = request.fields
        if wants_credential and not (headers.get("authorization", "").strip() or headers.get("x-api-key", "").strip()):
            raise CredentialMissing()
        metadata: list[tuple[str, str | bytes]] = []
        for header, value in headers.pairs:
            name = _metadata_name(header)
            if name is None:
                continue
            if name.endswith("-bin"):
                metadata.append((name, _decode(header, value)))
            elif _VALUE.fullmatch(value):
                metadata.append((name, value))
        metadata.append(("x-forwarded-for", ", ".join([*headers.every("x-forwarded-for"), request.connection.peer])))
        return metadata

    def timeout(self, request: Request, longest: float | None) -> float | None:
        """Seconds until the deadline, from Grpc-Timeout. Raises `InvalidRequest`."""
        asked = request.fields.get("grpc-timeout")
        if asked is None:
            return longest
        match = _TIMEOUT.fullmatch(asked.strip())
        if match is None:
            raise InvalidRequest(
                "The header Grpc-Timeout must be at most 8 digits and a unit: H, M, S, m, u or n.", field="Grpc-Timeout"
            )
        seconds = int(match.group(1)) * _UNIT_SECONDS[match.group(2)]
        return seconds if longest is None else min(seconds, longest)

    def show_metadata(self, shown: Metadata, headers: AnswerFields) -> None:
        """Adds the server's metadata as headers; bytes as base64."""
        for name, value in shown:
            if name in _OF_HTTP or name.startswith((*_RESERVED, ":")):
                continue
            text = base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
            if _VALUE.fullmatch(text):
                headers.add(name, text)


def _metadata_name(header: str) -> str | None:
    """The name that a header has as metadata; None: it does not pass."""
    name = header.removeprefix(_PREFIX)
    if name in _OF_HTTP or name == "x-forwarded-for" or name.startswith(_RESERVED) or not _NAME.fullmatch(name):
        return None
    return name


def _decode(header: str, value: str) -> bytes:
    plain = value.strip().rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise InvalidRequest(f"The header {header} must be base64, as its name ends in -bin.", field=header) from None
