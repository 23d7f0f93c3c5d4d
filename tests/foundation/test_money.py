"""Amounts are clean, and convert without loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.foundation import money


@pytest.mark.parametrize(
    ("text", "nano"), [("0", 0), ("1", 10**9), ("0.000001", 1000), ("100.0", 100 * 10**9), ("7.50", 7_500_000_000)]
)
def test_clean_amounts_parse(text: str, nano: int) -> None:
    assert money.parse(text, 6) == nano


@pytest.mark.parametrize(
    "text",
    [
        *("", "NaN", "Infinity", "-1", "+1", "1e3", "1E3", "0x10", "1.", ".5", "1,5", " 1", "1 ", "1\n", "true", "٣"),
        *("01", "007.50", "1_000", "0.0000001", "1e308", "9223372036854775808", "0.30000000000000004", "--1", "1.2.3"),
    ],
)
def test_unclean_amounts_are_refused(text: str) -> None:
    with pytest.raises(money.UncleanAmountError):
        money.parse(text, 6)


@given(st.integers(min_value=0, max_value=money.MAX_NANO - 1))
def test_text_and_nano_are_one_to_one(nano: int) -> None:
    assert money.parse(money.to_text(nano), 9) == nano


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_text_has_no_trailing_zeros(nano: int) -> None:
    text = money.to_text(nano)
    assert "." not in text or not text.endswith(("0", "."))
