"""Chunks: read as far as they agree with OpenAI's shape, edited only where usage must go."""

from __future__ import annotations

import json

import pytest

from server.chat import lenient_json
from server.chat.chunk import BrokenChunkError, estimate, read_chunk, with_null_usage, without_usage


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"id":"a","choices":[],"usage":null}', b'{"id":"a","choices":[]}'),
        (b'{"usage":null,"id":"a"}', b'{"id":"a"}'),
        (b'{"id":"a", "usage": {"prompt_tokens": 1}, "x": 1.50}', b'{"id":"a", "x": 1.50}'),
        (b'{ "id":"a" , "usage" : {"a":{"b":[1]}} }', b'{ "id":"a" }'),
        (b'{"usage":{}}', b"{}"),
        (b'{"choices":[{"usage":1}],"usage":null}', b'{"choices":[{"usage":1}]}'),
        (b'{"choices":[{"usage":1}]}', b'{"choices":[{"usage":1}]}'),
        (b'{"t":"say \\"usage\\":null}","usage":null}', b'{"t":"say \\"usage\\":null}"}'),
        (b'{"t":"\\u00e9","usage":{"n":12345678901234567890}}', b'{"t":"\\u00e9"}'),
    ],
)
def test_usage_is_taken_out_by_bytes(before: bytes, after: bytes) -> None:
    assert without_usage(before) == after
    json.loads(after)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"1", b'{"choices":[}', b'{"id":"x"', b"nonsense"])
def test_what_is_no_object_is_broken(payload: bytes) -> None:
    with pytest.raises(BrokenChunkError):
        read_chunk(payload)


def _tokens(delta: object) -> tuple[int, int]:
    chunk = read_chunk(json.dumps({"choices": [{"delta": delta}]}).encode())
    assert chunk.choices is not None
    assert chunk.choices[0].delta is not None
    return estimate(chunk.choices[0].delta)


def test_tokens_of_a_delta_are_estimated() -> None:
    assert _tokens({"role": "assistant", "content": ""}) == (0, 0)
    assert _tokens({"content": " word"}) == (1, 0)
    assert _tokens({"content": "x" * 32}) == (1, 0)
    assert _tokens({"content": "x" * 33}) == (9, 0)
    assert _tokens({"content": "ü" * 17}) == (9, 0)
    assert _tokens({"reasoning_content": "hm"}) == (0, 1)
    assert _tokens({"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}) == (1, 0)
    assert _tokens({"refusal": "no"}) == (1, 0)


def test_other_shapes_of_content_count_all_that_came() -> None:
    calls = [{"index": 0, "function": {"arguments": "{}"}}, {"function": {"arguments": {"a": 1}}}, 5, {"function": 5}]
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, "b", 7]
    assert _tokens({"content": parts, "tool_calls": calls, "reasoning_content": "hm"}) == (3, 1)
    assert _tokens({"content": [], "reasoning": [{"text": "hm"}], "function_call": {"arguments": "1"}}) == (1, 1)
    assert _tokens({"content": [{"text": "\ud83d"}]}) == (1, 0)
    assert _tokens({"content": "a", "tool_calls": {"0": 1}, "refusal": 5}) == (1, 0)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00x"', rb'"\ufffdx"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d\uD83d\uDe00"', rb'"\ufffd\uD83d\uDe00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d\n"', rb'"\\\ufffd\n"'),
        (rb'"\u00e9\ud7ff\ue000"', rb'"\u00e9\ud7ff\ue000"'),
    ],
)
def test_lone_surrogates_are_mended_in_their_place(text: bytes, mend: bytes) -> None:
    assert lenient_json.mended(text) == mend
    json.loads(mend).encode()


def test_deviating_shapes_are_read_as_far_as_they_agree() -> None:
    chunk = read_chunk(b'{"id":5,"choices":[{"delta":{"content":"a","tool_calls":7},"finish_reason":"stop"},3]}')
    assert chunk.id is None
    assert chunk.choices is not None
    assert chunk.choices[0].finish_reason == "stop"
    assert chunk.choices[0].delta is not None
    assert chunk.choices[0].delta.content == "a"


def test_failures_and_usage_are_found() -> None:
    assert read_chunk(b'{"error":{"message":"x"}}').failure == b'{"message":"x"}'
    assert read_chunk(b'{"error":null}').failure is None
    assert read_chunk(b'{"usage":null}').reported_usage is None
    assert read_chunk(b'{"usage":null}').mentions_usage
    assert read_chunk(b'{"usage":{"a":1}}').reported_usage == b'{"a":1}'


@pytest.mark.parametrize(
    ("payload", "edited"),
    [
        (b'{"a":1}', b'{"a":1,"usage":null}'),
        (b' {"a": {"usage":1} } ', b' {"a": {"usage":1} ,"usage":null}'),
        (b"{}", b'{"usage":null}'),
        (b"{ }", b'{ "usage":null}'),
    ],
)
def test_usage_that_is_not_mentioned_becomes_null(payload: bytes, edited: bytes) -> None:
    assert with_null_usage(payload) == edited
    assert json.loads(edited)["usage"] is None
