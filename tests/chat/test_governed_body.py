"""The request's top level: what is governed is checked, what is smuggled is refused, the rest is not touched."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from server.chat.governed_body import read_body
from server.chat.upstream_body import join
from server.rpc.errors import InvalidArgumentError
from tests.chat.workbench import Workbench, ask
from tests.support.provider_double import ProviderDouble

_HI = [{"role": "user", "content": "hi"}]


def _refused(body: dict[str, Any] | bytes) -> str:
    """The field that is named."""
    with pytest.raises(InvalidArgumentError) as refused:
        read_body(body if isinstance(body, bytes) else json.dumps(body).encode())
    (violation,) = refused.value.fields
    assert violation.field in refused.value.public
    return violation.field


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", None),
        ("model", 1),
        ("model", ""),
        ("model", "m" * 201),
        ("model", "a\x00b"),
        ("messages", None),
        ("messages", []),
        ("messages", "hi"),
        ("messages", _HI * 2049),
        ("stream", "true"),
        ("stream", 1),
        ("stream_options", []),
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("max_tokens", "10"),
        ("max_tokens", True),
        ("max_tokens", 2**53),
        ("max_completion_tokens", 2**64),
        ("n", 0),
        ("n", 129),
        ("n", True),
        ("user", 5),
        ("user", "\x00"),
        ("tools", {}),
    ],
)
def test_governed_values_are_checked(key: str, value: object) -> None:
    assert _refused(ask(**{key: value})) == key


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("hi", "messages[1]"),
        ({"content": "hi"}, "messages[1].role"),
        ({"role": 5}, "messages[1].role"),
        ({"role": ""}, "messages[1].role"),
        ({"role": "user\x00"}, "messages[1].role"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": {"type": "text"}}, "messages[1].content"),
        ({"role": "user", "content": "a\x00"}, "messages[1].content"),
        ({"role": "user", "content": ["hi"]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"text": "hi"}]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"type": "text", "text": 1}]}, "messages[1].content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": "", "file": {}}]}, "messages[1].content[0].file"),
        ({"role": "user", "content": [{"type": "text", "Image_URL": {}}]}, "messages[1].content[0].Image_URL"),
        ({"role": "user", "Content": "hi"}, "messages[1].Content"),
        ({"role": "user", "content": "hi", "name": 7}, "messages[1].name"),
    ],
)
def test_messages_are_checked(message: object, field: str) -> None:
    assert _refused(ask(messages=[*_HI, message])) == field


@pytest.mark.parametrize(
    "key", ["Max_Tokens", "MODEL", "max-tokens", "Stream", " n", "ſtream", "max_to\u212aens", "ｎ"]
)
def test_a_look_alike_of_a_governed_key_is_refused(key: str) -> None:
    assert _refused(ask(**{key: 1})) == key


@pytest.mark.parametrize("key", ["api_base", "base_url", "api_key", "API_KEY", "api-base", "Base_Url ", "ａpi_key"])
async def test_nobody_sends_the_call_elsewhere(bench: Workbench, provider: ProviderDouble, key: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await bench.chat(ask(**{key: "http://127.0.0.1:1/v1"}))
    assert refused.value.fields[0].field == key
    assert provider.requests == []


@pytest.mark.parametrize("key", ["n_predict", "max_output_tokens", "max_new_tokens", "n_cmpl", "N-Cmpl"])
def test_other_names_of_the_limit_are_refused(key: str) -> None:
    assert _refused(ask(**{key: 5})) == key


_BLANKS = " " * 1_000_000


@pytest.mark.parametrize(
    "more",
    [
        {_BLANKS + "api_key": 1},
        {"n_predict" + _BLANKS: 1},
        {"Model" + _BLANKS: 1},
        {"stream_options": {"Include_Usage" + _BLANKS: True}},
        {"messages": [{"role": "user", "Content" + _BLANKS: ""}]},
        {"messages": [{"role": "user", "content": [{"type": "A" * 1_000_000, "image_url": 1}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "Text" + _BLANKS: ""}]}]},
        {"tools": [{"type": "function", "Type" + _BLANKS: 1}]},
    ],
)
def test_long_keys_are_named_by_their_beginning(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        read_body(json.dumps(ask(**more)).encode())
    assert len(refused.value.to_status("req_x").SerializeToString()) < 1000


async def test_a_key_that_comes_twice_goes_up_once(bench: Workbench, provider: ProviderDouble) -> None:
    await bench.chat(
        b'{"model":"secret-model","n":128,"x":1,"messages":[{"role":"user","content":"a"}],"n":1,"x":2,'
        b'"\\u006dodel":"gpt-double"}'
    )
    body = provider.requests[0].body
    assert body == b'{"model":"gpt-double","n":1,"x":2,"messages":[{"role":"user","content":"a"}]}'


def test_nulls_are_absent() -> None:
    body = read_body(json.dumps(ask(max_tokens=None, n=None, stream=None, stream_options=None, user=None)).encode())
    assert (body.max_tokens, body.answers, body.streams, body.wants_usage) == (None, 1, False, False)


def test_the_smaller_of_two_limits_counts() -> None:
    assert read_body(json.dumps(ask(max_tokens=9, max_completion_tokens=7)).encode()).max_tokens == 7


def test_values_keep_their_bytes() -> None:
    text = b'{"model":"m","messages":[{"role":"user","content":"\\u00e9"}],"big":1234567890123456789012,"f":1.50e+1}'
    assert join({key: memoryview(raw) for key, raw in read_body(text).members.items()}) == text


def test_two_thousand_messages_are_read() -> None:
    assert len(read_body(json.dumps(ask(messages=_HI * 2048)).encode()).members) == 2


@pytest.mark.parametrize("depth", [98, 99, 254, 300, 900, 1_100, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"y":', b"}")])
def test_depth_is_limited(depth: int, opening: bytes, closing: bytes) -> None:
    """The top level is the first of 100."""
    deep = opening * depth + b"1" + closing * depth
    text = b'{"model":"m","messages":[{"role":"user","content":"a"}],"x":' + deep + b"}"
    if depth <= 99:
        read_body(text)
        return
    with pytest.raises(InvalidArgumentError) as refused:
        read_body(text)
    assert depth > 1000 or "100 levels" in refused.value.public


def test_many_brackets_are_not_deep() -> None:
    assert read_body(json.dumps(ask(x=[[[]]] * 1000, y="[{" * 5000)).encode()).answers == 1


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'"ab"'])
def test_a_body_that_swells_when_it_is_read_is_refused(value: bytes) -> None:
    filler = b"[" + b",".join([value] * 2_500_000) + b"]"
    body = b'{"model":"m","messages":[{"role":"user","content":"a"}],"x":' + filler + b"}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgumentError):
            read_body(body)
        assert tracemalloc.get_traced_memory()[1] < len(body)
    finally:
        tracemalloc.stop()


def test_a_large_text_is_read() -> None:
    content = "one, two, three. " * 1_000_000
    assert read_body(json.dumps(ask(messages=[{"role": "user", "content": content[: 8 << 20]}])).encode()).answers == 1


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (b'{"role":"user","content":"a","content":"b"}', "content"),
        (b'{"role":"user","content":"a","content" :"b"}', "content"),
        (b'{"role":"user","content":"a","\\u0063ontent":"b"}', "content"),
        (b'{"role":"user","content":"\\u0022\\u0022","x":1,"x":2}', "x"),
        (b'{"role":"user","role":"user","content":"a"}', "role"),
        (b'{"role":"user","content":[{"type":"text","text":"a","type":"image_url"}]}', "type"),
        (b'{"role":"user","content":"a","tool_calls":[{"function":{"name":"f","name":"g"}}]}', "name"),
        (b'{"role":"user","content":"a","x\\"y":1,"x\\"y":1}', 'x"y'),
    ],
)
def test_a_key_given_twice_in_a_message_is_refused(message: bytes, field: str) -> None:
    first = b'{"role":"user","content":"say \\"hi\\" : \\\\"}'
    body = b'{"model":"m","messages":[%b,%b]}'
    assert _refused(body % (first, message)) == f"messages[1].{field}"
    assert read_body(body % (first, first)).model == "m"


def test_quotes_in_texts_are_no_repeated_keys() -> None:
    content = [{"type": "text", "text": text} for text in ('"', '""":', "\\", '\\"', "\u2028", '{"a":1,"a":2}')]
    for ascii_only in (True, False):
        body = ask(messages=[{"role": "user", "content": content}, *_HI])
        assert read_body(json.dumps(body, ensure_ascii=ascii_only, indent=1).encode()).model == body["model"]
    assert read_body(b'{"model":"m","messages":[{"role":"user","content":"\\u0022"}]}').model == "m"
