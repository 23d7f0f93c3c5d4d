"""What a call is billed: the provider's own counts, or ours where it gave none."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import orjson
import structlog

from server.chat import lenient_json
from server.chat.chunk import text_of
from server.chat.prompt import BYTES_A_TOKEN, Prompt
from server.chat.tally import Tally
from server.chat.tokenizers import Tokenizers
from server.models.prices import TokenCounts
from server.usage.metering import PROVIDER_FAILED

_MESSAGE_TOKENS: Final = 3
"""Markers around a message, and as many before the answer, as OpenAI documents for its models."""


class Bill(msgspec.Struct, frozen=True):
    """Tokens to charge."""

    tokens: TokenCounts
    estimated: bool
    """Whether they were counted here."""


_log = structlog.get_logger("chat")

_NOTHING: Final = Bill(TokenCounts(), estimated=False)


async def make_bill(tally: Tally, ending: str, prompt: Prompt, tokenizer: str | None, tokenizers: Tokenizers) -> Bill:
    """As `_count_bill`, and whatever goes wrong there: a call that cannot be counted is billed by its bytes, so that
    what was held for it is closed."""
    try:
        return await _count_bill(tally, ending, prompt, tokenizer, tokenizers)
    except Exception as error:  # noqa: BLE001 - recorded, and the bill is made all the same
        _log.error("a bill was not counted", error=repr(error), traceback="".join(traceback.format_exception(error)))
        return _bill_bytes(tally, prompt)


def _bill_bytes(tally: Tally, prompt: Prompt) -> Bill:
    output = len(tally.answer) // BYTES_A_TOKEN if tally.answer else tally.output
    tokens = TokenCounts(input=prompt.estimate, output=output, reasoning=tally.reasoning)
    return Bill(tokens, estimated=True)


async def _count_bill(tally: Tally, ending: str, prompt: Prompt, tokenizer: str | None, tokenizers: Tokenizers) -> Bill:
    """The provider's last word exactly, zero included. Else the counted prompt and what was handed over, with the
    reasoning that was reported so far. Nothing where the provider never got the request or failed without output.
    """
    final = tally.final
    if final is not None:
        return Bill(final, estimated=False)
    if not tally.sent or (ending == PROVIDER_FAILED and not tally.delivered):
        return _NOTHING
    reported = tally.reported
    output, reasoning = tally.output, tally.reasoning
    if tally.answer:
        output = await _count_answer(tally.answer, tokenizer, tokenizers)
    if reported is None:
        counted = await count_prompt(prompt, tokenizer, tokenizers)
        return Bill(TokenCounts(input=counted, output=output, reasoning=reasoning), estimated=True)
    tokens = TokenCounts(
        input=reported.input,
        cache_read=reported.cache_read,
        cache_write=reported.cache_write,
        output=output,
        reasoning=max(reasoning, reported.reasoning),
    )
    return Bill(tokens, estimated=True)


async def count_prompt(prompt: Prompt, tokenizer: str | None, tokenizers: Tokenizers) -> int:
    """Tokens of the prompt by the model's vocabulary (by the fallback where it is not known), media at their most."""
    messages = prompt.body.values["messages"]
    assert isinstance(messages, list), "checked when it was read"
    counted = await tokenizers.count(tokenizer, prompt.texts())
    return counted + prompt.media_tokens + _MESSAGE_TOKENS * (len(messages) + 1)


async def _count_answer(answer: bytes, tokenizer: str | None, tokenizers: Tokenizers) -> int:
    try:
        texts = list(_texts(lenient_json.read(answer)))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # JSON that was good enough to hand on, but nests deeper or has larger numbers than can be read here.
        return len(answer) // BYTES_A_TOKEN
    return await tokenizers.count(tokenizer, texts)


def _texts(answer: Mapping[str, Any]) -> Iterator[str]:
    """Every text of a unary answer."""
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            continue
        for key in ("content", "refusal", "reasoning_content", "reasoning"):
            text = text_of(message.get(key))
            if text:
                yield text
        for key in ("tool_calls", "function_call"):
            if message.get(key):
                yield orjson.dumps(message[key]).decode()
