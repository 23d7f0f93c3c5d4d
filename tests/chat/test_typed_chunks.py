"""Pieces that came together become one where nothing is lost by it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from server.chat.errors import ProviderFailedError
from server.chat.event_stream import DONE
from server.chat.typed_answer import chunk_of
from server.chat.typed_chunks import TypedChunks
from tollbridge.chat.v1.chat_pb2 import ChatCompletionChunk

_BASE: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}


def _piece(delta: object, index: object = 0, finish: object = None, **more: Any) -> dict[str, Any]:
    return {**_BASE, "choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more}


def _read(*pieces: dict[str, Any], reader: TypedChunks | None = None) -> list[ChatCompletionChunk]:
    return list((reader or TypedChunks("p")).read([json.dumps(piece).encode() for piece in pieces]))


def test_text_that_came_together_is_one_piece() -> None:
    reader = TypedChunks("p")
    payloads = [json.dumps(_piece({"content": text})).encode() for text in ("b", "", "ü", "☃")]
    first = json.dumps(_piece({"role": "assistant", "content": "a"})).encode()
    last = json.dumps(_piece({}, finish="stop")).encode()
    (chunk,) = reader.read([first, *payloads, last, DONE])
    (choice,) = chunk.choices
    assert (choice.delta.role, choice.delta.content, choice.finish_reason) == ("assistant", "abü☃", "stop")
    assert (chunk.id, chunk.object, chunk.created, chunk.model) == ("c1", "chat.completion.chunk", 7, "m")
    assert list(reader.read([DONE])) == []
    assert [piece.choices[0].delta.content for piece in reader.read(payloads[:1])] == ["b"], "nothing is held back"


_TEXT = _piece({"content": "a"})
_APART = [
    _piece({"content": "b"}, index=1),
    _piece({"role": "tool", "content": "b"}),
    _piece({"content": "b", "refusal": "no"}),
    _piece({"content": "b", "tool_calls": [{"index": 0, "id": "x", "function": {"name": "f", "arguments": ""}}]}),
    {**_BASE, "choices": [{"index": 0, "delta": {"content": "b"}, "logprobs": {"content": []}}]},
    {**_BASE, "choices": [{"index": 0, "delta": {"content": "b"}}, {"index": 1, "delta": {"content": "c"}}]},
    {**_BASE, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    _piece({"content": "b"}, usage={"prompt_tokens": 1}),
    _piece({}, finish="length", tollbridge={"cutoff": "balance"}),
    _piece({"content": "b"}, id="c2"),
    _piece({"content": "b"}, service_tier="flex"),
    _piece({"content": "b"}, system_fingerprint="fp"),
]


@pytest.mark.parametrize("piece", _APART)
def test_what_says_more_stays_a_piece_of_its_own(piece: dict[str, Any]) -> None:
    assert _read(_TEXT, piece) == [chunk_of(_TEXT), chunk_of(piece)]


def test_nothing_follows_an_end_in_one_piece() -> None:
    ended = _piece({"content": "a"}, finish="stop")
    assert _read(ended, _TEXT) == [chunk_of(ended), chunk_of(_TEXT)]


_ODD_DELTAS: tuple[object, ...] = (
    {},
    {"content": "x"},
    {"content": 5},
    {"content": None, "role": "assistant"},
    {"role": []},
    None,
    [],
    "x",
)
_ODD_INDEXES: tuple[object, ...] = (0, 3, None, True, 1.5, -1, 2**31, "0")


@pytest.mark.parametrize(("delta", "index"), list(itertools.product(_ODD_DELTAS, _ODD_INDEXES)))
def test_a_piece_alone_is_what_it_always_was(delta: object, index: object) -> None:
    for finish in (None, "stop", 7):
        piece = _piece(delta, index, finish)
        assert _read(piece) == [chunk_of(piece)]


@pytest.mark.parametrize("head", [{"id": 5}, {"created": "x"}, {"model": None}, {"choices": None}, {"choices": [7]}])
def test_odd_heads_are_read_as_ever(head: dict[str, Any]) -> None:
    piece = {**_TEXT, **head}
    assert _read(piece, _TEXT) == [chunk_of(piece), chunk_of(_TEXT)]


def test_what_cannot_be_read_is_the_providers_fault_after_what_can() -> None:
    read = TypedChunks("p").read([json.dumps(_piece({}, finish="stop")).encode(), json.dumps(_TEXT).encode(), b"{"])
    assert next(read).choices[0].finish_reason == "stop"
    with pytest.raises(ProviderFailedError):
        list(read)
