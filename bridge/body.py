"""Reads a request's body within its bounds: 32 MB as it comes, 32 MB unpacked, no long silence."""

from __future__ import annotations

import asyncio
import zlib
from functools import lru_cache

from bridge.caller import MAX_BODY_BYTES
from bridge.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from bridge.http.request import Request

_GZIP_WINDOW = 31
_ZLIB_WINDOW = 15
_RAW_WINDOW = -15
_PIECE_BYTES = 4096


def check_content_type(value: str | None) -> None:
    """Refuses what cannot be JSON in UTF-8; a body without a content type is taken as JSON.

    Raises `UnsupportedMediaType` for another type and `InvalidRequest` for another charset.
    """
    if value is None:
        return
    media_type, charset = parse_content_type(value)
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType("The body must be JSON; send 'Content-Type: application/json'.")
    if charset not in ("", "utf-8", "utf8"):
        raise InvalidRequest("The body must be JSON in UTF-8; another charset is not taken.", field="Content-Type")


@lru_cache(maxsize=256)
def parse_content_type(value: str) -> tuple[str, str]:
    """The media type and charset of a Content-Type header, in lower case; "" where there is none."""
    media_type, *parameters = value.split(";")
    charset = ""
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = text.strip().strip('"').lower()
    return media_type.strip().lower(), charset


async def read_body(request: Request) -> bytes:
    """The whole body, unpacked. Raises `TooLarge`, `BodyTimeout`, `UnsupportedMediaType`, `InvalidRequest`."""
    encoding = request.fields.get("content-encoding")
    if encoding is None:
        return await request.body.read()
    encoding = encoding.lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise UnsupportedMediaType("The body's Content-Encoding is not taken; send gzip, deflate or none.")
    raw = await request.body.read()
    if encoding == "identity":
        return raw
    return await asyncio.to_thread(_unpack, raw, encoding)


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise TooLarge(MAX_BODY_BYTES)


def _unpack(raw: bytes, encoding: str) -> bytes:
    window = _GZIP_WINDOW if "gzip" in encoding else _deflate_window(raw)
    unpacker = zlib.decompressobj(window)
    data = bytearray()
    complete = False
    try:
        # By small pieces: each can grow a thousandfold, and what it grew to is held twice for a moment.
        for start in range(0, len(raw), _PIECE_BYTES):
            data += unpacker.decompress(raw[start : start + _PIECE_BYTES])
            _check_size(len(data))
            if unpacker.eof:
                complete = start + _PIECE_BYTES >= len(raw) and not unpacker.unused_data
                break
    except zlib.error:
        complete = False
    if not complete:
        raise InvalidRequest(f"The body is not valid {encoding}.")
    return bytes(data)


def _deflate_window(raw: bytes) -> int:
    """RFC 9110 means zlib's format by `deflate`; some clients send it bare."""
    wrapped = len(raw) >= 2 and raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
    return _ZLIB_WINDOW if wrapped else _RAW_WINDOW
