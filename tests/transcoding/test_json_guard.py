"""What the JSON guard takes and refuses, each with its own sentence."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.json_guard import MAX_DEPTH, JsonError, Number, read_json

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
)


@settings(database=None)
@given(_VALUES)
def test_json_that_means_one_thing_is_read_as_it_stands(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "The body is empty; a JSON value was expected."),
        (b" \n", "The body is empty; a JSON value was expected."),
        (b"{", "The body is not valid JSON (line 1, column 2)."),
        (b'{"a":\n nope}', "The body is not valid JSON (line 2, column 2)."),
        (b'{"a":1}{', "The body is not valid JSON (line 1, column 8)."),
        (b"NaN", "The body is not valid JSON (line 1, column 1)."),
        (b"[Infinity]", "The body is not valid JSON (line 1, column 2)."),
        (b"[01]", "The body is not valid JSON (line 1, column 2)."),
        (b"[1e999]", "The JSON holds a number that is out of range."),
        (b"9" * 5000, "The JSON holds a number that is out of range."),
        (b'{"a":1,"a":2}', "The JSON names 'a' twice in one object."),
        (b'[{"b":{"a":1,"\\u0061":2}}]', "The JSON names 'a' twice in one object."),
        (b'"\xff"', "The JSON is not valid UTF-8."),
        (b'"\xed\xa0\x80"', "The JSON is not valid UTF-8."),
        (b'\xef\xbb\xbf{"a":1}', "The JSON starts with a byte order mark; send plain UTF-8."),
        ('{"a":1}'.encode("utf-16"), "The JSON is not valid UTF-8."),
        (b"[" * 101 + b"]" * 101, "The JSON is nested deeper than 100 levels."),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "The JSON is nested deeper than 100 levels."),
        (b"[" * 100_000, "The JSON is nested deeper than 100 levels."),
    ],
)
def test_json_that_could_mean_something_else_is_refused_with_a_sentence(text: bytes, sentence: str) -> None:
    with pytest.raises(JsonError) as caught:
        read_json(text)
    assert str(caught.value) == sentence


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(JsonError, match="not valid JSON"):
        read_json(b'"\\ud800"')


def test_a_hundred_levels_are_taken() -> None:
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_a_bomb_of_brackets_is_refused_at_once() -> None:
    started = time.perf_counter()
    with pytest.raises(JsonError):
        read_json(b'{"a":' * 100_000)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize("lexeme", ["100.0", "0.10", "1e3", "1E-2", "-0.0"])
def test_a_number_remembers_how_it_was_written(lexeme: str) -> None:
    value = read_json(lexeme.encode())
    assert isinstance(value, Number)
    assert value.lexeme == lexeme
