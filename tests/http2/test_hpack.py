"""Header blocks: the examples of RFC 7541, appendix C, and what is no block."""

from __future__ import annotations

import pytest

from bridge.http2 import hpack
from bridge.http2.errors import ConnectionFault
from bridge.http2.huffman import decode

_CODED_REQUESTS = (
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
)
_PLAIN_REQUESTS = (
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
)
_BASE = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")]


@pytest.mark.parametrize("blocks", [_PLAIN_REQUESTS, _CODED_REQUESTS], ids=["C.3", "C.4"])
def test_blocks_build_on_those_before(blocks: tuple[str, ...]) -> None:
    decoder = hpack.Decoder()
    first, second, third = (decoder.decode(bytes.fromhex(block)) for block in blocks)
    assert first == _BASE
    assert second == [*_BASE, ("cache-control", "no-cache")]
    assert third == [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ]


def test_a_table_forgets_what_does_not_fit() -> None:
    decoder = hpack.Decoder()
    # The table for 64 bytes: one entry of 4 + 4 + 32, not two.
    small = b"\x3f\x21"
    entry = b"\x40\x04name\x04"
    decoder.decode(small + entry + b"val1" + entry + b"val2")
    assert decoder.decode(b"\xbe") == [("name", "val2")]
    with pytest.raises(ConnectionFault):
        decoder.decode(b"\xbf")


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 300, 16_000])
def test_what_is_written_reads_the_same(size: int) -> None:
    block = hpack.METHOD_POST + hpack.field("x-a", "v" * size) + hpack.field("authorization", "b", secret=True)
    assert hpack.Decoder().decode(block) == [(":method", "POST"), ("x-a", "v" * size), ("authorization", "b")]
    assert block.endswith(b"\x10\x0dauthorization\x01b"), "a credential is never to be indexed"


@pytest.mark.parametrize(
    "block",
    [
        "80",  # field 0
        "be",  # of an empty table
        "40",  # cut before its name
        "4004",  # cut within it
        "00046e616d65ff",  # cut within a number
        "00046e616d657fffffffffff7f",  # a number beyond 32 bits
        "823fe11f",  # a table of 4096 bytes, but not first
        "3fe21f",  # a table larger than allowed
        "0081ff00",  # eight bits of padding
        "00810000",  # padding that is not ones
        "0084ffffffff00",  # the end mark
    ],
)
def test_what_is_no_block_is_refused(block: str) -> None:
    with pytest.raises(ConnectionFault):
        hpack.Decoder().decode(bytes.fromhex(block))


def test_a_block_that_says_far_more_than_it_has_bytes_is_refused() -> None:
    decoder = hpack.Decoder()
    decoder.decode(b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000)
    with pytest.raises(ConnectionFault, match="far more"):
        decoder.decode(b"\xbe" * 1000)


def test_every_byte_is_read_in_the_huffman_code() -> None:
    assert decode(bytes.fromhex("9d29ad171863c78f0b97c8e9ae82ae43d3")) == b"https://www.example.com"
    assert decode(bytes.fromhex("6402")) == b"302"
    assert decode(b"") == b""
    assert decode(bytes.fromhex("ffc7")) == b"\x00"
