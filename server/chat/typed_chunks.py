"""The payloads of one stream as typed chunks, with text that came together in one chunk.

A provider's events often come several at once, and every message over gRPC costs several times what its text does. So
neighbours that differ in nothing but what they add to one answer's text become one chunk, as a provider might have sent
it itself. Nothing waits for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.chat.event_stream import DONE
from server.chat.typed_answer import chunk_of, head_of, read_answer
from tollbridge.chat.v1.chat_pb2 import ChatCompletionChunk

_HEAD: Final = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_MOST_INDEX: Final = 2**31 - 1


@dataclass(slots=True)
class _Text:
    """What a chunk adds to the text of one answer, where it does nothing else."""

    index: int
    role: str
    content: str
    finish_reason: str


class TypedChunks:
    """One stream's. What all its chunks begin with is made once."""

    def __init__(self, provider: str) -> None:
        """`provider` is named where its bytes cannot be read."""
        self._provider = provider
        self._seen: tuple[Any, ...] | None = None
        self._head = b""

    def read(self, payloads: Iterable[bytes]) -> Iterator[ChatCompletionChunk]:
        """What came together. Raises `ProviderFailedError` where only its bytes can be handed on."""
        open_text: _Text | None = None
        for payload in payloads:
            if payload == DONE:
                continue
            chunk = read_answer(payload, self._provider)
            text, same = _text_of(chunk), self._same_head(chunk)
            if open_text is not None:
                if text is not None and same and _goes_on(open_text, text):
                    open_text.content += text.content
                    open_text.finish_reason = text.finish_reason
                    continue
                yield self._write(open_text)
            if not same:
                self._take_head(chunk)
            open_text = text
            if text is None:
                yield chunk_of(chunk)
        if open_text is not None:
            yield self._write(open_text)

    def _same_head(self, chunk: Mapping[str, Any]) -> bool:
        return tuple([chunk.get(name) for name in _HEAD]) == self._seen

    def _take_head(self, chunk: Mapping[str, Any]) -> None:
        self._seen = tuple([chunk.get(name) for name in _HEAD])
        self._head = ChatCompletionChunk(**head_of(chunk)).SerializeToString()

    def _write(self, text: _Text) -> ChatCompletionChunk:
        chunk = ChatCompletionChunk.FromString(self._head)
        choice = chunk.choices.add()
        choice.delta.SetInParent()
        if text.content:
            choice.delta.content = text.content
        if text.role:
            choice.delta.role = text.role
        if text.index:
            choice.index = text.index
        if text.finish_reason:
            choice.finish_reason = text.finish_reason
        return chunk


def _goes_on(before: _Text, text: _Text) -> bool:
    return before.index == text.index and not before.finish_reason and text.role in {"", before.role}


def _text_of(chunk: Mapping[str, Any]) -> _Text | None:
    """The text, if the chunk is nothing else: one answer's, without usage, tools, refusal, probabilities or a cut."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or chunk.get("usage") or chunk.get("tollbridge"):
        return None
    choice = choices[0]
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict) or delta.get("tool_calls") or delta.get("refusal") or choice.get("logprobs"):
        return None
    index, role, content, finish = (
        choice.get("index"),
        delta.get("role"),
        delta.get("content"),
        choice.get("finish_reason"),
    )
    if type(index) is not int or not 0 <= index <= _MOST_INDEX:
        return None
    return _Text(
        index,
        role if isinstance(role, str) else "",
        content if isinstance(content, str) else "",
        finish if isinstance(finish, str) else "",
    )
