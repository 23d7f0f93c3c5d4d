"""The typed request as the JSON body that it stands for."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

from server.chat.governed_body import GovernedBody, read_body
from server.chat.key_folding import fold, shown
from server.chat.upstream_body import join
from server.rpc.errors import InvalidArgumentError
from tollbridge.chat.v1.chat_pb2 import ChatMessage, ContentPart, ToolCall
from tollbridge.chat.v1.chat_service_pb2 import CreateChatCompletionRequest

_TAKEN: Final = frozenset(field.name for field in CreateChatCompletionRequest.DESCRIPTOR.fields) | {
    "stream",
    "stream_options",
}
_OPTIONAL: Final = (
    "max_tokens",
    "max_completion_tokens",
    "n",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "parallel_tool_calls",
)
_WHERE_SET: Final = ("user", "reasoning_effort")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def to_body(request: CreateChatCompletionRequest, streams: bool) -> GovernedBody:
    """The request as `read_body` has it. Raises `InvalidArgumentError` naming the field."""
    members: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message, f"messages[{index}]") for index, message in enumerate(request.messages)],
    }
    for name in _OPTIONAL:
        if request.HasField(name):
            members[name] = getattr(request, name)
    for name in _WHERE_SET:
        if getattr(request, name):
            members[name] = getattr(request, name)
    if request.stop:
        members["stop"] = list(request.stop)
    if streams:
        members["stream"] = True
        if request.include_usage:
            members["stream_options"] = {"include_usage": True}
    encoded: dict[str, bytes | memoryview] = {key: orjson.dumps(value) for key, value in members.items()}
    encoded.update(_extra(request.extra_json))
    return read_body(join(encoded))


def _message(message: ChatMessage, path: str) -> dict[str, Any]:
    calls = [_tool_call(call) for call in message.tool_calls]
    if message.parts:
        content: Any = [_part(part, f"{path}.parts[{index}]") for index, part in enumerate(message.parts)]
    else:
        content = None if calls and not message.content else message.content
    members: dict[str, Any] = {"role": message.role, "content": content}
    for name in ("name", "tool_call_id", "refusal"):
        if getattr(message, name):
            members[name] = getattr(message, name)
    if calls:
        members["tool_calls"] = calls
    return members


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": call.type or "function", "function": function}


def _part(part: ContentPart, path: str) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": part.text}
    try:
        orjson.loads(part.value_json)
    except orjson.JSONDecodeError:
        raise InvalidArgumentError.of(f"{path}.value_json", "is not valid JSON") from None
    if part.type == "type":
        raise InvalidArgumentError.of(f"{path}.type", "is no type of a part")
    return {"type": part.type, part.type: orjson.Fragment(part.value_json)}


def _extra(text: str) -> dict[str, bytes | memoryview]:
    if not text:
        return {}
    try:
        if not isinstance(orjson.loads(text), dict):
            raise InvalidArgumentError.of("extra_json", "must be a JSON object")
        members = _members.decode(text)
    except (orjson.JSONDecodeError, msgspec.MsgspecError, RecursionError):
        raise InvalidArgumentError.of("extra_json", "is not valid JSON") from None
    for key in members:
        if fold(key) in _TAKEN:
            raise InvalidArgumentError.of("extra_json", f"must not hold {shown(key)!r}, which has a field of its own")
    return {key: memoryview(raw) for key, raw in members.items()}
