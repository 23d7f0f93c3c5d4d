"""One chunk of a streamed answer: what it says, and the one edit that it may need."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from server.chat.lenient_json import mended
from server.chat.upstream_body import join

_USAGE: Final = re.compile(rb'\s*"usage"\s*:\s*')
_NULL_AT_END: Final = b',"usage":null}'
_SHORT_TEXT_BYTES: Final = 32
_BYTES_A_TOKEN: Final = 4


class BrokenChunkError(ValueError):
    """The payload is no JSON object."""


class _Function(msgspec.Struct, gc=False):
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    """The members that matter here; all others are skipped unread."""

    id: str | None = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    @property
    def mentions_usage(self) -> bool:
        """Whether there is a `usage` member, null or not."""
        return self.usage is not msgspec.UNSET

    @property
    def reported_usage(self) -> bytes | None:
        """The usage object's bytes, or None where it is absent or null."""
        if self.usage is msgspec.UNSET or bytes(self.usage) == b"null":
            return None
        return bytes(self.usage)

    @property
    def failure(self) -> bytes | None:
        """The error object's bytes, where the provider broke off with one."""
        if self.error is msgspec.UNSET or bytes(self.error) == b"null":
            return None
        return bytes(self.error)


_decode = msgspec.json.Decoder(Chunk).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_chunk(payload: bytes) -> Chunk:
    """Reads one payload. Shapes that deviate from OpenAI's are read as far as they agree.

    Raises `BrokenChunkError`.
    """
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, RecursionError):
        return _read_deviating(mended(payload))


def estimate(choice_delta: _Delta) -> tuple[int, int]:
    """Output and reasoning tokens of one delta.

    One for each text, as providers send a token at a time; a text of more than 32 bytes counts a token for every four
    bytes. Used only where the provider never says what was used, or the client leaves before it does.
    """
    output = _estimate_text(choice_delta.content) + _estimate_text(choice_delta.refusal)
    for call in choice_delta.tool_calls or ():
        output += _estimate_text(call.function.arguments if call.function else None)
    if choice_delta.function_call is not None:
        output += _estimate_text(choice_delta.function_call.arguments)
    return output, _estimate_text(choice_delta.reasoning_content or choice_delta.reasoning)


def raw_members(payload: bytes) -> dict[str, memoryview]:
    """The top level of a payload that was read: each value's bytes, as long as they came, lone surrogates replaced."""
    try:
        members = _members.decode(payload)
    except msgspec.DecodeError:
        members = _members.decode(mended(payload))
    return {key: memoryview(raw) for key, raw in members.items()}


def without_usage(payload: bytes) -> bytes:
    """The payload without its top-level `usage` member; every other byte stays."""
    if payload.endswith(_NULL_AT_END) and payload.count(b'"usage"') == 1:
        return payload[: -len(_NULL_AT_END)] + b"}"
    members = raw_members(payload)
    if "usage" not in members:
        return payload
    found = list(_USAGE.finditer(payload))
    if len(found) != 1:
        return join({key: raw for key, raw in members.items() if key != "usage"})
    start, end = found[0].start(), found[0].end() + len(members["usage"])
    before, after = payload[:start].rstrip(), payload[end:].lstrip()
    if before.endswith(b","):
        return before[:-1] + after
    return before + after.removeprefix(b",")


def with_null_usage(payload: bytes) -> bytes:
    """The payload, which has no top-level `usage`, with one that is null as its last member."""
    head = payload.rstrip()[:-1]
    return head + (b'"usage":null}' if head.strip() == b"{" else _NULL_AT_END)


def text_of(value: object) -> str | None:
    """The text of a member that is text, or a list of parts with text; None where there is none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    texts = [part.get("text") if isinstance(part, dict) else part for part in value]
    return "".join(text for text in texts if isinstance(text, str)) or None


def _estimate_text(text: str | None) -> int:
    if not text:
        return 0
    if len(text) * 4 <= _SHORT_TEXT_BYTES:
        return 1
    size = len(text.encode())
    return 1 if size <= _SHORT_TEXT_BYTES else -(-size // _BYTES_A_TOKEN)


def _read_deviating(payload: bytes) -> Chunk:
    try:
        value: Any = orjson.loads(payload)
        if not isinstance(value, dict):
            raise BrokenChunkError("no object")
        raw = _members.decode(payload)
    except (orjson.JSONDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise BrokenChunkError(str(error)) from error
    choices = value.get("choices")
    return Chunk(
        id=value["id"] if isinstance(value.get("id"), str) else None,
        choices=[_lenient_choice(choice) for choice in choices] if isinstance(choices, list) else None,
        usage=raw.get("usage", msgspec.UNSET),
        error=raw.get("error", msgspec.UNSET),
    )


def _lenient_choice(choice: object) -> _Choice:
    try:
        return msgspec.convert(choice, _Choice)
    except msgspec.ValidationError:
        pass
    if not isinstance(choice, dict):
        return _Choice()
    delta, reason = choice.get("delta"), choice.get("finish_reason")
    return _Choice(
        delta=_lenient_delta(delta) if isinstance(delta, dict) else None,
        finish_reason=reason if isinstance(reason, str) else None,
    )


def _lenient_delta(delta: Mapping[str, Any]) -> _Delta:
    calls = delta.get("tool_calls")
    return _Delta(
        content=text_of(delta.get("content")),
        refusal=text_of(delta.get("refusal")),
        reasoning_content=text_of(delta.get("reasoning_content")),
        reasoning=text_of(delta.get("reasoning")),
        tool_calls=[_lenient_call(call) for call in calls] if isinstance(calls, list) else None,
        function_call=_lenient_function(delta.get("function_call")),
    )


def _lenient_call(call: object) -> _ToolCall:
    return _ToolCall(_lenient_function(call.get("function")) if isinstance(call, dict) else None)


def _lenient_function(function: object) -> _Function | None:
    if not isinstance(function, dict):
        return None
    arguments = function.get("arguments")
    return _Function(json.dumps(arguments) if isinstance(arguments, dict) else text_of(arguments))
