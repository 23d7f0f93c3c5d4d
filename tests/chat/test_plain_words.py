"""Refusals say what is wrong and where, and nothing of what is behind them."""

from __future__ import annotations

import pytest

from server.chat.governed_body import read_body
from server.rpc.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a":', "unexpected end of data at line 1, column 6"),
        (b'{"a":NaN}', "expected a JSON value at line 1, column 6"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b"[" * 100_000, "depth"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":1e999}', "infinity"),
    ],
)
def test_broken_json_is_told_by_place_and_reason(body: bytes, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read_body(body)
    assert words in caught.value.public
