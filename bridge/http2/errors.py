"""HTTP/2's error codes (RFC 9113, section 7), and what ends a connection."""

from __future__ import annotations

from typing import Final

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
FLOW_CONTROL_ERROR: Final = 0x3
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
ENHANCE_YOUR_CALM: Final = 0xB


class ConnectionFault(Exception):
    """The other side broke the protocol; the connection cannot be used any further."""

    def __init__(self, code: int, text: str) -> None:
        """`code` is told to the other side; `text` is a sentence for the log."""
        super().__init__(text)
        self.code = code
