"""OpenAI's chat wire as the double speaks it: the objects of an answer, unary and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.support.provider_double.script import Script, ToolCall, Usage

CREATED: Final = 1_700_000_000


class ChatAnswer:
    """The answer to one chat request: knows how many tokens it has and how each object looks."""

    def __init__(self, script: Script, body: Mapping[str, Any], number: int) -> None:
        self.script = script
        self.id = f"chatcmpl-double{number}"
        self.model: str = body.get("model", "")
        self.streams = body.get("stream") is True
        self.usage_asked = (body.get("stream_options") or {}).get("include_usage") is True
        self.choices: int = body.get("n") or 1
        self.tokens, self.finish_reason = self._length(body.get("max_completion_tokens") or body.get("max_tokens"))

    def _length(self, maximum: int | None) -> tuple[list[str], str]:
        count = self.script.tokens
        if maximum is not None and maximum < count and not self.script.ignores_maximum:
            return [f"t{number} " for number in range(maximum)], "length"
        return [f"t{number} " for number in range(count)], "tool_calls" if self.script.tool_calls else "stop"

    def usage(self, emitted: int) -> dict[str, Any] | None:
        """What the double says was used after `emitted` tokens over all choices; None where it says nothing."""
        if self.script.usage is Usage.MISSING:
            return None
        factor = {Usage.HONEST: 1, Usage.ZERO: 0, Usage.TENFOLD: 10}[self.script.usage]
        prompt, reasoning = self.script.prompt_tokens * factor, self.script.reasoning_tokens * factor
        completion = emitted * factor + reasoning
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": self.script.cached_tokens * factor, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
        }

    def whole(self) -> dict[str, Any]:
        """The unary answer, without usage."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.tokens), "refusal": None}
        if self.script.tool_calls:
            message["tool_calls"] = [_called(call, "".join(call.pieces)) for call in self.script.tool_calls]
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
            for index in range(self.choices)
        ]
        return {**self._head("chat.completion"), "choices": choices}

    def first_chunks(self) -> Iterator[dict[str, Any]]:
        """The role, once for each choice, then the fragments of tool calls."""
        for index in range(self.choices):
            yield self.chunk({"role": "assistant", "content": "", "refusal": None}, index)
        for position, call in enumerate(self.script.tool_calls):
            yield self.chunk({"tool_calls": [{"index": position, **_called(call, "")}]})
            for piece in call.pieces:
                yield self.chunk({"tool_calls": [{"index": position, "function": {"arguments": piece}}]})

    def last_chunks(self) -> Iterator[dict[str, Any]]:
        """The finish reason, once for each choice."""
        for index in range(self.choices):
            yield self.chunk({}, index, self.finish_reason)

    def chunk(self, delta: Mapping[str, Any], index: int = 0, finish_reason: str | None = None) -> dict[str, Any]:
        """One chunk of one choice. Where usage was asked for, every chunk before the last says `usage: null`."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return {**chunk, "usage": None} if self.usage_asked else chunk

    def usage_chunk(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The chunk without choices that ends a stream whose usage was asked for."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": CREATED,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_double",
        }


def _called(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
