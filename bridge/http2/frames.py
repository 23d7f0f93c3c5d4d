"""HTTP/2's frames (RFC 9113, section 6)."""

from __future__ import annotations

import struct
from typing import Final

from bridge.http2.errors import PROTOCOL_ERROR, ConnectionFault

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

HEAD_BYTES: Final = 9
SMALLEST_FRAME: Final = 16_384
"""Largest payload that everybody takes; we ask for no more."""
INITIAL_WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 2**31 - 1

_HEAD: Final = struct.Struct(">IBI")
_SETTING: Final = struct.Struct(">HI")
_WORD: Final = struct.Struct(">I")

read_head = _HEAD.unpack_from
"""Length and kind in one number (24 and 8 bits), flags, stream."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(pairs: tuple[tuple[int, int], ...]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in pairs))


def read_settings(payload: bytes) -> dict[int, int]:
    """What a SETTINGS frame sets; the last of a name counts. Its length is a multiple of six."""
    return dict(_SETTING.iter_unpack(payload))


def word(number: int) -> bytes:
    """The payload of WINDOW_UPDATE and RST_STREAM."""
    return _WORD.pack(number)


def read_word(payload: bytes, position: int = 0) -> int:
    """32 bits at `position`."""
    found: int = _WORD.unpack_from(payload, position)[0]
    return found


def header_frames(stream: int, block: bytes, ended: bool = False) -> bytes:
    """A header block as one HEADERS frame, with as many CONTINUATION frames as its length wants."""
    last = END_STREAM if ended else 0
    if len(block) <= SMALLEST_FRAME:
        return frame(HEADERS, END_HEADERS | last, stream, block)
    parts = [block[start : start + SMALLEST_FRAME] for start in range(0, len(block), SMALLEST_FRAME)]
    middle = [frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
    return b"".join(
        (frame(HEADERS, last, stream, parts[0]), *middle, frame(CONTINUATION, END_HEADERS, stream, parts[-1]))
    )


def without_padding(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without padding and priority. Raises `ConnectionFault`."""
    if not flags & (PADDED | PRIORITIZED):
        return payload
    start, padding = 0, 0
    if flags & PADDED:
        padding, start = (payload[0] if payload else 0), 1
    if flags & PRIORITIZED:
        start += 5
    if start + padding > len(payload):
        raise ConnectionFault(PROTOCOL_ERROR, "A frame's padding is longer than the frame.")
    return payload[start : len(payload) - padding]
