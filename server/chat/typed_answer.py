"""A provider's JSON as typed messages. What has no field is left out; what has another shape counts as absent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from server.chat import lenient_json
from server.chat.errors import ProviderFailedError
from tollbridge.chat.v1.chat_pb2 import (
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    ChunkChoice,
    CompletionTokensDetails,
    CompletionUsage,
    Cut,
    FunctionCall,
    PromptTokensDetails,
    ToolCall,
)

_MAX_INT32: Final = 2**31 - 1
_MAX_INT64: Final = 2**63 - 1


def to_completion(data: bytes, provider: str) -> ChatCompletion:
    """A whole answer of the named provider. Raises `ProviderFailedError` where only its bytes can be handed on."""
    answer = read_answer(data, provider)
    return ChatCompletion(
        **head_of(answer),
        choices=[
            ChatChoice(
                index=_integer(choice, "index", _MAX_INT32),
                message=_message(_object(choice.get("message"))),
                finish_reason=_text(choice, "finish_reason"),
                logprobs_json=_json(choice.get("logprobs")),
            )
            for choice in _objects(answer.get("choices"))
        ],
    )


def chunk_of(chunk: Mapping[str, Any]) -> ChatCompletionChunk:
    """A piece of a streamed answer, as `read_answer` has it."""
    return ChatCompletionChunk(
        **head_of(chunk),
        choices=[
            ChunkChoice(
                index=_integer(choice, "index", _MAX_INT32),
                delta=_message(_object(choice.get("delta"))),
                finish_reason=_text(choice, "finish_reason"),
                logprobs_json=_json(choice.get("logprobs")),
            )
            for choice in _objects(chunk.get("choices"))
        ],
        tollbridge=_cut(chunk.get("tollbridge")),
    )


def read_answer(data: bytes, provider: str) -> Mapping[str, Any]:
    """A provider's JSON; raises as `to_completion`."""
    try:
        return _object(lenient_json.read(data))
    except orjson.JSONDecodeError as error:
        raise ProviderFailedError(provider, f"the answer cannot be read: {error}") from error


def head_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that answers and their pieces have in common."""
    usage = answer.get("usage")
    return {
        "id": _text(answer, "id"),
        "object": _text(answer, "object"),
        "created": _integer(answer, "created"),
        "model": _text(answer, "model"),
        "service_tier": _text(answer, "service_tier"),
        "system_fingerprint": _text(answer, "system_fingerprint"),
        "usage": _usage(usage) if isinstance(usage, dict) else None,
    }


def _cut(note: object) -> Cut | None:
    return Cut(cutoff=_text(note, "cutoff")) if isinstance(note, dict) else None


def _usage(usage: Mapping[str, Any]) -> CompletionUsage:
    prompt = _object(usage.get("prompt_tokens_details"))
    completion = _object(usage.get("completion_tokens_details"))
    return CompletionUsage(
        prompt_tokens=_integer(usage, "prompt_tokens"),
        completion_tokens=_integer(usage, "completion_tokens"),
        total_tokens=_integer(usage, "total_tokens"),
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=_integer(prompt, "cached_tokens"), audio_tokens=_integer(prompt, "audio_tokens")
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=_integer(completion, "reasoning_tokens"),
            audio_tokens=_integer(completion, "audio_tokens"),
        ),
    )


def _message(message: Mapping[str, Any]) -> ChatMessage:
    return ChatMessage(
        role=_text(message, "role"),
        content=_text(message, "content"),
        refusal=_text(message, "refusal"),
        tool_calls=[
            ToolCall(
                index=_integer(call, "index", _MAX_INT32) if "index" in call else position,
                id=_text(call, "id"),
                type=_text(call, "type"),
                function=_function(_object(call.get("function"))),
            )
            for position, call in enumerate(_objects(message.get("tool_calls")))
        ],
    )


def _function(function: Mapping[str, Any]) -> FunctionCall:
    return FunctionCall(name=_text(function, "name"), arguments=_text(function, "arguments"))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def _integer(holder: Mapping[str, Any], key: str, largest: int = _MAX_INT64) -> int:
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        return 0
    return int(value)


def _json(value: object) -> str:
    try:
        return "" if value is None else orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        # Nested deeper than can be written.
        return ""
