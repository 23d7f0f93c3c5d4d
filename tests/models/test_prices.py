"""Costs are integers, rounded once, and never above the worst case."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from server.models.prices import Price, TokenCounts, cost, marked_up, worst_case

NANO_A_MILLION = st.integers(0, 10**12)
COUNTS = st.builds(TokenCounts, *[st.integers(0, 10**7)] * 5)
PRICES = st.builds(Price, st.just(1), *[NANO_A_MILLION] * 5)


def test_a_known_call_costs_what_the_price_page_says() -> None:
    price = Price(1, 150_000_000, 75_000_000, 150_000_000, 600_000_000, 600_000_000)

    assert cost(price, TokenCounts(input=1000, cache_read=200, output=500, reasoning=100)) == 525_000


@pytest.mark.parametrize(("per_million", "expected"), [(499_999, 0), (500_000, 1), (1_499_999, 1), (1_500_000, 2)])
def test_half_a_nano_dollar_is_rounded_up(per_million: int, expected: int) -> None:
    assert cost(Price(1, per_million, 0, 0, 0, 0), TokenCounts(input=1)) == expected


def test_classes_are_added_before_they_are_rounded() -> None:
    price = Price(1, 400_000, 400_000, 400_000, 400_000, 400_000)

    assert cost(price, TokenCounts(1, 1, 1, 1, 1)) == 2


def test_nothing_costs_nothing() -> None:
    assert cost(Price(1, 10**15, 10**15, 10**15, 10**15, 10**15), TokenCounts()) == 0


@given(PRICES, COUNTS)
def test_the_cost_is_the_exact_one_within_half_a_nano_dollar(price: Price, tokens: TokenCounts) -> None:
    exact = sum(Fraction(a * b, 1_000_000) for a, b in zip(astuple(price)[1:6], astuple(tokens), strict=True))

    assert -Fraction(1, 2) < cost(price, tokens) - exact <= Fraction(1, 2)


@given(PRICES, COUNTS)
def test_no_call_costs_more_than_its_worst_case(price: Price, tokens: TokenCounts) -> None:
    bound = worst_case(price, tokens.input + tokens.cache_read + tokens.cache_write, tokens.output + tokens.reasoning)

    assert cost(price, tokens) <= bound


def test_the_worst_case_takes_the_dearest_classes_and_rounds_up() -> None:
    assert worst_case(Price(1, 1, 2, 3_000_000, 5_000_000, 4), 2, 3) == 21
    assert worst_case(Price(1, 1, 0, 0, 0, 0), 1, 0) == 1


def test_a_markup_is_added_to_each_class() -> None:
    marked = marked_up(Price(7, 100, 5, 0, 1_000_003, 1), 100_000, 9)

    assert marked == Price(7, 110, 6, 0, 1_100_003, 1, 9)


def test_counts_add_up() -> None:
    together = TokenCounts(1, 2, 3, 4, 5) + TokenCounts(10, 20, 30, 40, 50)

    assert (together, together.total) == (TokenCounts(11, 22, 33, 44, 55), 165)
