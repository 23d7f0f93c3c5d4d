"""Header fields as bytes (RFC 7541).

Reading follows the whole of it. Writing keeps no state: every field is written out but those that are whole in the
static table, so that a call's head can be made before its connection is known. Credentials are never to be indexed.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from bridge.http2.errors import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ConnectionFault
from bridge.http2.huffman import decode
from bridge.http2.static_table import STATIC

Field = tuple[str, str]

_TABLE_BYTES: Final = 4096
"""HTTP/2's default, which we do not change."""
_ENTRY_BYTES: Final = 32
_MOST_BYTES: Final = 256 * 1024
"""Of a block's names and values: one that points at the same large entry again and again would have no end."""
_STATICS: Final = len(STATIC)
_MOST_SHIFT: Final = 28

METHOD_POST: Final = b"\x83"
SCHEME_HTTP: Final = b"\x86"
SCHEME_HTTPS: Final = b"\x87"


def field(name: str, value: str, *, secret: bool = False) -> bytes:
    """One field. Names are lower-case ASCII, values visible ASCII."""
    return (b"\x10" if secret else b"\x00") + _string(name) + _string(value)


def _string(text: str) -> bytes:
    raw = text.encode("ascii")
    if len(raw) < 0x7F:
        return bytes((len(raw),)) + raw
    size, rest = bytearray(b"\x7f"), len(raw) - 0x7F
    while rest > 0x7F:
        size.append(0x80 | rest & 0x7F)
        rest >>= 7
    size.append(rest)
    return bytes(size) + raw


class Decoder:
    """Reads the header blocks of one connection, every one of them and in their order."""

    def __init__(self) -> None:
        self._entries: deque[Field] = deque()
        self._size = 0
        self._most = _TABLE_BYTES

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a whole block. Raises `ConnectionFault` for one that is none."""
        try:
            return self._decode(block)
        except IndexError:
            raise ConnectionFault(COMPRESSION_ERROR, "A header block ends too early.") from None

    def _decode(self, block: bytes) -> list[Field]:
        found: list[Field] = []
        position, end, size = 0, len(block), 0
        while position < end:
            if found:
                size += len(found[-1][0]) + len(found[-1][1])
                if size > _MOST_BYTES:
                    raise ConnectionFault(ENHANCE_YOUR_CALM, "A header block says far more than it has bytes.")
            first = block[position]
            if first & 0x80:
                index, position = _integer(block, position, 0x7F)
                found.append(self._entry(index))
            elif first & 0x40:
                entry, position = self._literal(block, position, 0x3F)
                self._add(entry)
                found.append(entry)
            elif first & 0x20:
                most, position = _integer(block, position, 0x1F)
                if most > _TABLE_BYTES or found:
                    raise ConnectionFault(COMPRESSION_ERROR, "A header table's size is changed where it may not be.")
                self._most = most
                self._evict()
            else:
                entry, position = self._literal(block, position, 0x0F)
                found.append(entry)
        return found

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[Field, int]:
        index, position = _integer(block, position, mask)
        if index:
            name = self._entry(index)[0]
        else:
            name, position = _text(block, position)
        value, position = _text(block, position)
        return (name, value), position

    def _entry(self, index: int) -> Field:
        if 0 < index <= _STATICS:
            return STATIC[index - 1]
        if not 0 < index <= _STATICS + len(self._entries):
            raise ConnectionFault(COMPRESSION_ERROR, "A header field is taken from where the table has none.")
        return self._entries[index - _STATICS - 1]

    def _add(self, entry: Field) -> None:
        self._entries.appendleft(entry)
        self._size += len(entry[0]) + len(entry[1]) + _ENTRY_BYTES
        self._evict()

    def _evict(self) -> None:
        while self._size > self._most:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + _ENTRY_BYTES


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > _MOST_SHIFT:
            raise ConnectionFault(COMPRESSION_ERROR, "A number in a header block is too large.")


def _text(block: bytes, position: int) -> tuple[str, int]:
    coded = block[position] & 0x80
    length, position = _integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise ConnectionFault(COMPRESSION_ERROR, "A header block ends too early.")
    raw = block[position:end]
    # Bytes one to one: what is not ASCII is judged, and told, where the field is used.
    return (decode(raw) if coded else raw).decode("latin-1"), end
