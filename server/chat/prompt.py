"""What a request sends to the model, and the least and most tokens that it can come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import orjson

from server.chat.errors import UnboundableInputError
from server.chat.governed_body import GovernedBody
from server.chat.key_folding import shown
from server.models.catalogue import CallableModel

BYTES_A_TOKEN: Final = 4
"""Of text, roughly."""
_TEMPLATE_TOKENS: Final = 64
"""What templates add of their own: turn markers, a default system message."""
_TOOL_TEMPLATE_TOKENS: Final = 512
"""What templates add where tools are offered."""
_MESSAGE_TOKENS: Final = 4
"""Most markers around one message, its name's included."""
_LEAST_AUDIO_BYTES_A_SECOND: Final = 1000
"""8 kbit/s: the thinnest MP3 there is. Anything richer lasts shorter."""

_TOOL_TYPES: Final = frozenset({"function", "custom"})
_EMPTY: Final[tuple[object, ...]] = (None, [], "", False)
"""Values that ask for nothing. An empty object is not among them: `web_search_options: {}` asks for a search."""
_UNBOUNDED: Final = {
    "web_search_options": "web search",
    "search_parameters": "search",
    "plugins": "a plugin",
    "models": "a choice of models",
    "best_of": "a number of hidden answers",
    "audio": "audio output",
}
_ALSO_TEXT: Final = ("tools", "functions", "response_format", "prediction", "tool_choice", "function_call")


class Prompt(msgspec.Struct, frozen=True):
    """The bounds of a request's input. All figures in tokens."""

    byte_bound: int
    """No tokenizer makes more tokens of it: one a byte, and each part's declared maximum."""
    media_tokens: int
    """What its images, sounds and files count at most; part of `byte_bound`."""
    markers: int
    """What templates add at most; part of `byte_bound`."""
    extra_output: int
    """What each answer may be charged beyond its own limit: a prediction that was not used."""
    body: GovernedBody

    @property
    def estimate(self) -> int:
        """Tokens that it comes to, roughly, where nothing better is known: four bytes a token, media at their most."""
        return (self.byte_bound - self.media_tokens - self.markers) // BYTES_A_TOKEN + self.media_tokens

    def texts(self) -> Iterator[str]:
        """Every text that reaches the model. Media are left out."""
        values = self.body.values
        messages = values["messages"]
        assert isinstance(messages, list), "checked when it was read"
        for message in messages:
            yield from _texts_of(message)
        for key in _ALSO_TEXT:
            if values.get(key) is not None:
                yield orjson.dumps(values[key]).decode()


def measure(body: GovernedBody, model: CallableModel) -> Prompt:
    """Bounds the input. Raises `UnboundableInputError` naming what has no declared maximum."""
    _refuse_unbounded(body.values)
    messages = body.values["messages"]
    assert isinstance(messages, list), "checked when it was read"
    media_bytes = media_tokens = 0
    for position, message in enumerate(messages, -body.preamble):
        if message.get("audio") is not None:
            raise UnboundableInputError(f"messages[{position}].audio", "an earlier answer's audio")
        content = message.get("content")
        if isinstance(content, list):
            carried, tokens = _measure_parts(content, model, f"messages[{position}].content")
            media_bytes, media_tokens = media_bytes + carried, media_tokens + tokens
    markers = _TEMPLATE_TOKENS + _MESSAGE_TOKENS * len(messages)
    if body.values.get("tools") or body.values.get("functions"):
        markers += _TOOL_TEMPLATE_TOKENS
    prediction = body.members.get("prediction")
    extra_output = 0 if prediction is None else len(memoryview(prediction))
    return Prompt(body.size - media_bytes + media_tokens + markers, media_tokens, markers, extra_output, body)


def _refuse_unbounded(values: Mapping[str, object]) -> None:
    for key, what in _UNBOUNDED.items():
        if values.get(key) not in _EMPTY:
            raise UnboundableInputError(key, what)
    modalities = values.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise UnboundableInputError("modalities", "output other than text")
    tools = values.get("tools")
    for position, tool in enumerate(tools if isinstance(tools, list) else ()):
        if tool["type"] not in _TOOL_TYPES:
            raise UnboundableInputError(f"tools[{position}]", "a built-in tool")


def _measure_parts(parts: list[dict[str, Any]], model: CallableModel, path: str) -> tuple[int, int]:
    """Bytes that the parts carry instead of text, and the most tokens that they count."""
    carried = tokens = 0
    for position, part in enumerate(parts):
        match part["type"]:
            case "text" | "refusal":
                continue
            case "image_url":
                maximum, size, count = model.image_max_tokens, _inline(part, "image_url", "url"), 1
            case "input_audio":
                size = _inline(part, "input_audio", "data")
                maximum, count = model.audio_second_max_tokens, -(-size * 3 // 4 // _LEAST_AUDIO_BYTES_A_SECOND)
            case "file":
                maximum, size, count = model.file_max_tokens, _inline(part, "file", "file_data"), 1
            case _:
                maximum, size, count = None, 0, 1
        if maximum is None:
            raise UnboundableInputError(f"{path}[{position}]", f"a part of type {shown(part['type'])}")
        carried, tokens = carried + size, tokens + maximum * count
    return carried, tokens


def _inline(part: Mapping[str, Any], kind: str, field: str) -> int:
    """Bytes of what a part carries in itself. Text is never longer in characters than in bytes."""
    holder = part.get(kind)
    value = holder.get(field) if isinstance(holder, dict) else holder
    return len(value) if isinstance(value, str) else 0


def _texts_of(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        text = part.get("text", part.get("refusal"))
        if isinstance(text, str):
            yield text
    for key, value in message.items():
        if key == "content" or value is None:
            continue
        yield value if isinstance(value, str) else orjson.dumps(value).decode()
