"""HPACK's Huffman code (RFC 7541, appendix B). Only read: what we send is never coded."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import Final

from bridge.http2.errors import COMPRESSION_ERROR, ConnectionFault

_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b08060606"
    "0505050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817"
    "181816171817171717151617161717181615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a17"
    "1a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)
"""Bits of each byte's code, then of the end mark's. The code is canonical: lengths are all there is to know."""

_LONGEST: Final = 30
_END_MARK: Final = 256
_MOST_PADDING: Final = 7


def _table() -> tuple[list[int], list[int]]:
    """The first `_LONGEST` bits from which on a symbol's code begins, ascending, and the symbols."""
    symbols = sorted(range(len(_LENGTHS)), key=lambda symbol: (_LENGTHS[symbol], symbol))
    starts, start = [], 0
    for symbol in symbols:
        starts.append(start)
        start += 1 << (_LONGEST - _LENGTHS[symbol])
    return starts, symbols


_STARTS, _SYMBOLS = _table()


@lru_cache(maxsize=1024)
def decode(coded: bytes) -> bytes:
    """The text of a coded string. Raises `ConnectionFault` for the end mark, and padding that is too long or not ones.

    The same few strings come again and again, so that they are kept.
    """
    found = bytearray()
    window, bits, position = 0, 0, 0
    while True:
        while bits < _LONGEST and position < len(coded):
            window = window << 8 | coded[position]
            bits += 8
            position += 1
        # What is missing at the end is read as ones, as padding is written.
        front = window >> (bits - _LONGEST) if bits >= _LONGEST else ((window + 1) << (_LONGEST - bits)) - 1
        symbol = _SYMBOLS[bisect_right(_STARTS, front) - 1]
        length = _LENGTHS[symbol]
        if length > bits:
            break
        if symbol == _END_MARK:
            raise ConnectionFault(COMPRESSION_ERROR, "The end mark stands in a coded string.")
        found.append(symbol)
        bits -= length
        window &= (1 << bits) - 1
    if bits > _MOST_PADDING or window != (1 << bits) - 1:
        raise ConnectionFault(COMPRESSION_ERROR, "A coded string ends in the middle of a symbol.")
    return bytes(found)
