"""Money before the call: bounds, clamps and refusals."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from server.billing.errors import BalanceInsufficientError, BalanceReservedError
from server.chat.errors import ContextLengthExceededError, UnboundableInputError
from server.chat.tokenizers import Tokenizers
from tests.chat.workbench import INPUT_NANO, MODEL, OUTPUT_NANO, ModelRow, Workbench, ask
from tests.support.provider_double import ProviderDouble, Script

_EXACT = 2 + 64 + 4
"""The small prompt's exact bound: two tokens of text and the markers."""


async def _leave_only(bench: Workbench, nano: int) -> None:
    """Takes away all but `nano` of the wallet."""
    await bench.owner.execute(
        "UPDATE ledger_account SET debits_posted = credits_posted - $2 WHERE org_id = $1 AND code = 'wallet'",
        *(bench.org_id, nano),
    )


async def test_plenty_of_money_injects_no_limit(bench: Workbench, provider: ProviderDouble) -> None:
    answer = await bench.chat(ask())
    assert provider.requests[0].json == ask()
    assert "x-tollbridge-max-tokens-clamped" not in answer.headers
    assert answer.outcome.max_tokens_clamped == 0


async def test_little_money_buys_a_shorter_answer(bench: Workbench, provider: ProviderDouble) -> None:
    await _leave_only(bench, _EXACT * INPUT_NANO + 100 * OUTPUT_NANO)
    provider.next(Script(tokens=500))
    answer = await bench.chat(ask(max_tokens=5000))
    sent = provider.requests[0].json
    assert sent["max_completion_tokens"] == 100
    assert "max_tokens" not in sent
    assert answer.headers["x-tollbridge-max-tokens-clamped"] == "100"
    assert answer.outcome.max_tokens_clamped == 100
    assert (await bench.event()).output == 100


async def test_money_that_covers_the_exact_count_is_enough(bench: Workbench, provider: ProviderDouble) -> None:
    """The byte bound would refuse; the counted prompt fits, so nothing is clamped."""
    await _leave_only(bench, _EXACT * INPUT_NANO + 20 * OUTPUT_NANO)
    answer = await bench.chat(ask(max_completion_tokens=20))
    assert provider.requests[0].json == ask(max_completion_tokens=20)
    assert answer.outcome.max_tokens_clamped == 0


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 500}, 5),
        ({"max_tokens": 500, "max_completion_tokens": 5}, 5),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": None, "max_completion_tokens": 7}, 7),
        ({"max_tokens": None}, None),
    ],
)
async def test_one_limit_goes_up_in_the_field_that_the_model_takes(
    bench: Workbench, provider: ProviderDouble, field: str, asked: dict[str, int | None], sent: int | None
) -> None:
    """A provider that reads the larger of two, or does not know the one that came, would write more than is held."""
    await bench.add_model(ModelRow(id="one", upstream=MODEL, max_tokens_field=field), provider.url)
    provider.next(Script(tokens=500))
    await bench.chat(ask(model="one", **asked))
    limits = {key: value for key, value in provider.requests[0].json.items() if key.startswith("max_")}
    assert limits == (asked if sent is None else {field: sent})
    event = await bench.event()
    assert (event.output, event.excess) == (500 if sent is None else sent, 0)


async def test_more_than_the_models_maximum_is_not_asked_for(bench: Workbench, provider: ProviderDouble) -> None:
    """No more than the maximum is held for, whatever the provider would write."""
    await bench.add_model(ModelRow(id="short", upstream=MODEL, max_output_tokens=20), provider.url)
    provider.next(Script(tokens=500))
    await bench.chat(ask(model="short", max_completion_tokens=400))
    event = await bench.event()
    assert (event.output, event.excess) == (20, 0)


async def test_a_limit_in_the_models_own_field_keeps_its_place(bench: Workbench, provider: ProviderDouble) -> None:
    body = b'{"max_completion_tokens" : 9,"model":"gpt-double","messages":[{"role":"user","content":"a"}],"x":1.0}'
    await bench.chat(body)
    assert provider.requests[0].body == body.replace(b'" : 9', b'":9')


async def test_money_for_less_than_sixteen_tokens_is_refused(bench: Workbench, provider: ProviderDouble) -> None:
    await _leave_only(bench, _EXACT * INPUT_NANO + 16 * OUTPUT_NANO - 1)
    with pytest.raises(BalanceInsufficientError):
        await bench.chat(ask())
    assert provider.requests == []
    await bench.chat(ask(max_tokens=15))
    assert len(await bench.events()) == 1


async def test_a_reasoning_model_needs_room_to_think(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_model(ModelRow(id="thinker", reasoning=True), provider.url)
    await _leave_only(bench, _EXACT * INPUT_NANO + 1023 * OUTPUT_NANO)
    with pytest.raises(BalanceInsufficientError):
        await bench.chat(ask(model="thinker"))
    await bench.chat(ask(model="thinker", max_completion_tokens=500))


async def test_every_answer_is_paid_for(bench: Workbench, provider: ProviderDouble) -> None:
    await _leave_only(bench, _EXACT * INPUT_NANO + 3 * 40 * OUTPUT_NANO)
    await bench.chat(ask(n=3))
    assert provider.requests[0].json["max_completion_tokens"] == 40


async def test_an_empty_wallet_is_402_and_a_held_one_429(bench: Workbench, provider: ProviderDouble) -> None:
    cost = _EXACT * INPUT_NANO + 30 * OUTPUT_NANO
    await _leave_only(bench, cost)
    provider.next(Script(tokens=20, delay=30.0))
    holding = asyncio.create_task(bench.chat(ask(max_tokens=30)))
    await provider.wait_requests(1)
    with pytest.raises(BalanceReservedError):
        await bench.chat(ask(max_tokens=30))
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await bench.spent()
    await _leave_only(bench, 0)
    with pytest.raises(BalanceInsufficientError):
        await bench.chat(ask(max_tokens=30))


async def test_a_full_context_is_refused_by_what_is_proved(bench: Workbench, provider: ProviderDouble) -> None:
    for name, tokenizer in (("known", "o200k_base"), ("unknown", None)):
        await bench.add_model(
            ModelRow(id=name, context_tokens=1000, max_output_tokens=1000, tokenizer=tokenizer), provider.url
        )
    fits = [{"role": "user", "content": "word " * 900}]
    exceeds = [{"role": "user", "content": "word " * 1100}]
    await bench.chat(ask(model="known", messages=fits))
    with pytest.raises(ContextLengthExceededError) as refused:
        await bench.chat(ask(model="known", messages=exceeds))
    assert refused.value.metadata["context_tokens"] == "1000"
    assert int(refused.value.metadata["prompt_tokens"]) >= 1000
    # Nothing is proved where nobody knows how the model counts: its provider decides.
    await bench.chat(ask(model="unknown", messages=exceeds))
    with pytest.raises(ContextLengthExceededError):
        await bench.chat(ask(model="unknown", messages=[{"role": "user", "content": "x" * 300_000}]))


async def test_a_long_prompt_never_holds_more_than_its_context(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.add_model(
        ModelRow(id="small", context_tokens=1000, max_output_tokens=1000, tokenizer=None), provider.url
    )
    await _leave_only(bench, 1000 * OUTPUT_NANO)
    await bench.chat(ask(model="small", messages=[{"role": "user", "content": "x" * 5000}]))
    assert "max_completion_tokens" not in provider.requests[0].json


_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
_AUDIO = {"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "mp3"}}
_FILE = {"type": "file", "file": {"file_data": "A" * 40_000}}


def _with(*parts: object) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "a"}, *parts]}]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"messages": _with(_IMAGE)}, "messages[1].content[1]"),
        ({"messages": _with({"type": "text", "text": "b"}, _AUDIO)}, "messages[1].content[2]"),
        ({"messages": _with(_FILE)}, "messages[1].content[1]"),
        ({"messages": _with({"type": "video", "video": {}})}, "messages[1].content[1]"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        ({"tools": [{"type": "function", "function": {}}, {"type": "web_search"}]}, "tools[1]"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"models": ["dear/model"]}, "models"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
    ],
)
async def test_what_has_no_maximum_is_refused(
    bench: Workbench, provider: ProviderDouble, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(UnboundableInputError) as refused:
        await bench.chat(ask(**more))
    assert refused.value.fields[0].field == field
    assert provider.requests == []
    assert await bench.held() == 0


async def test_parts_with_a_maximum_are_held_for(bench: Workbench, provider: ProviderDouble) -> None:
    maxima = ModelRow(image_max_tokens=1000, audio_second_max_tokens=10, file_max_tokens=2000, max_output_tokens=16)
    await bench.add_model(replace(maxima, id="sees", tokenizer=None), provider.url)
    parts = _with(_IMAGE, _AUDIO, _FILE)
    # An MP3 of 3,000 bytes lasts three seconds at most.
    media = 1000 + 3 * 10 + 2000
    await _leave_only(bench, media * INPUT_NANO)
    with pytest.raises(BalanceInsufficientError):
        await bench.chat(ask(model="sees", messages=parts))
    # What they carry in bytes is not counted as text: 84,000 bytes would cost far more.
    await _leave_only(bench, (media + 500) * INPUT_NANO + 16 * OUTPUT_NANO)
    await bench.chat(ask(model="sees", messages=parts))
    assert provider.requests[0].json["messages"] == parts


async def test_many_calls_never_overspend(bench: Workbench, provider: ProviderDouble) -> None:
    """Balance for about ten calls, forty at once: the wallet is never overdrawn, and nothing stays held."""
    provider.default = Script(tokens=30, prompt_tokens=40)
    cost = 40 * INPUT_NANO + 30 * OUTPUT_NANO
    await _leave_only(bench, 10 * cost)

    async def call() -> int:
        for _ in range(8):
            try:
                await bench.chat(ask(max_tokens=30))
            except BalanceReservedError:
                continue
            except BalanceInsufficientError:
                return 0
            return 1
        return 0

    succeeded = sum(await asyncio.gather(*(call() for _ in range(40))))
    assert 9 <= succeeded <= 10
    assert sum(event.cost for event in await bench.events()) <= 10 * cost
    assert await bench.held() == 0


async def test_text_is_counted_as_the_vocabulary_has_it() -> None:
    tokenizers = Tokenizers()
    try:
        assert await tokenizers.count("o200k_base", ["hello world", "", "hello"]) == 3
        assert await tokenizers.count("cl100k_base", ["hello world"]) == 2
        assert await tokenizers.count(None, ["hello world"]) == 2
        assert await tokenizers.count("o200k_base", ["<|endoftext|>"]) > 1, "markers in a prompt are plain text"
        # One word without end is counted in slices, in no more time than other text.
        assert 100_000 // 8 <= await tokenizers.count("o200k_base", ["a" * 100_000]) <= 100_000 // 8 + 13
        assert await tokenizers.count("o200k_base", ["word " * 100_000], stop_at=5000) < 8000
    finally:
        tokenizers.close()
