"""The journal's records, and their form on disk: length and CRC-32 of what follows, four bytes each, then MessagePack.

Field names are not stored, so fields are only ever added at the end, with a default.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

HEADER: Final = struct.Struct("<II")
"""Length and CRC-32 of the payload."""

MOST_BYTES: Final = 1 << 20
"""A longer record is no record: the file is torn there."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """A call is about to be sent to its provider. Ids as 16 bytes, money in nano-dollars."""

    call: bytes
    org: bytes
    hold: bytes
    """The lease that it was taken from, or the hold of its own; empty where nothing was set aside."""
    leased: bool
    reserved: int
    """Its worst case."""
    funding: str
    key: bytes
    """Empty for a person's call."""
    user: bytes
    model: str
    provider: str
    request: str
    streamed: bool
    create_time: int
    """Microseconds since 1970, UTC."""
    prompt: int
    """Tokens of the prompt, estimated."""
    price: tuple[int, int, int, int, int, int, int | None] | None
    """Version, the five prices a million tokens, the markup's version; None for free models."""
    profile: str = ""
    """The profile that was asked for; empty: the model by its own name."""


class Progressed(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """So many tokens were handed over; the first one also says that the provider has accepted the call."""

    call: bytes
    output: int
    reasoning: int


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """A call has ended."""

    call: bytes
    provider_call: str
    attempt: int
    duration_ms: int
    first_token_ms: int
    ending: str
    estimated: bool
    http_status: int
    tokens: tuple[int, int, int, int, int]
    """Input, cache read, cache write, output, reasoning."""
    charged: int
    excess: int
    raw_usage: bytes | None


Record = Opened | Progressed | Closed

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """The record as it stands on disk."""
    payload = _encoder.encode(record)
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def payload_of(record: Record) -> bytes:
    """The record without length and checksum, for where others keep those."""
    return _encoder.encode(record)


def record_of(payload: bytes) -> Record:
    """The record again. Raises `msgspec.MsgspecError`."""
    record: Record = _decoder.decode(payload)
    return record


def decode_all(content: bytes) -> Iterator[Record]:
    """Every whole record from the beginning. Ends at the first that is torn or damaged: what follows it was never
    acknowledged, because records are written in order."""
    offset = 0
    while offset + HEADER.size <= len(content):
        length, checksum = HEADER.unpack_from(content, offset)
        end = offset + HEADER.size + length
        if length > MOST_BYTES or end > len(content):
            return
        payload = content[offset + HEADER.size : end]
        if zlib.crc32(payload) != checksum:
            return
        try:
            yield _decoder.decode(payload)
        except msgspec.MsgspecError:
            return
        offset = end


def microseconds(time: datetime) -> int:
    """As records have times."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(microseconds_since_1970: int) -> datetime:
    """As the rest of the program has times."""
    return _EPOCH + microseconds_since_1970 * _MICROSECOND


def uuid_of(text: bytes) -> UUID | None:
    """The id, or None for an empty one."""
    return UUID(bytes=text) if text else None
