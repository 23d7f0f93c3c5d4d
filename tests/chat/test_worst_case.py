"""The worst case is one: no call within its bounds costs more."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from server.chat.worst_case import WorstCase
from server.models.models import CallableModel, Capabilities, Provider
from server.models.prices import Price, TokenCounts, cost

_SMALL = st.integers(0, 60)
_PRICES = st.integers(0, 5_000_000)


def _worst(price: Price, context: int, longest: int, answers: int, extra: int) -> WorstCase:
    model = CallableModel(
        id="m",
        provider=Provider("p", "openai", "", ""),
        upstream="m",
        context_tokens=context,
        max_output_tokens=longest,
        tokenizer=None,
        price=price,
        free=False,
        create_time=datetime.now(UTC),
        reasoning=False,
        max_tokens_field="max_tokens",
        image_max_tokens=None,
        audio_second_max_tokens=None,
        file_max_tokens=None,
        capabilities=Capabilities(stream_usage=True),
    )
    return WorstCase(model, answers, extra, min(longest, context), 1)


@given(
    prices=st.tuples(_PRICES, _PRICES, _PRICES, _PRICES, _PRICES),
    context=st.integers(1, 60),
    bound=_SMALL,
    longest=st.integers(1, 60),
    answers=st.integers(1, 3),
    extra=st.integers(0, 5),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_no_call_within_the_bounds_costs_more(
    prices: tuple[int, int, int, int, int],
    context: int,
    bound: int,
    longest: int,
    answers: int,
    extra: int,
    shares: tuple[float, float, float, float],
) -> None:
    price = Price(1, *prices)
    worst = _worst(price, context, longest, answers, extra)
    most = worst.cost(bound, worst.longest_answer)
    prompt = int(shares[0] * min(bound, context))
    output = (int(shares[1] * min(worst.longest_answer, context - prompt)) + extra) * answers
    cached, reasoning = int(shares[2] * prompt), int(shares[3] * output)
    tokens = TokenCounts(prompt - cached, cached, 0, output - reasoning, reasoning)
    assert cost(price, tokens) <= most


@given(prices=st.tuples(_PRICES, _PRICES), bound=_SMALL, nano=st.integers(0, 500), answers=st.integers(1, 3))
def test_the_affordable_answer_is_the_longest(prices: tuple[int, int], bound: int, nano: int, answers: int) -> None:
    worst = _worst(Price(1, prices[0], 0, 0, prices[1], 0), 100, 80, answers, 0)
    answer = worst.affordable_answer(bound, nano)
    assert answer == 0 or worst.cost(bound, answer) <= nano
    assert answer == worst.longest_answer or worst.cost(bound, answer + 1) > nano


def test_a_long_prompt_costs_no_more_than_its_context() -> None:
    worst = _worst(Price(1, 9_000_000, 0, 0, 1_000_000, 0), 1000, 500, 1, 0)
    assert worst.cost(50_000, 500) == 9 * 1000
