"""Ids say what they are, sort by time, and what cannot be read is unknown."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.foundation import ids


@given(st.uuids())
def test_text_reads_back(value: UUID) -> None:
    assert ids.from_text(ids.KEY, ids.to_text(ids.KEY, value)) == value


@given(st.uuids(), st.uuids())
def test_text_sorts_as_the_ids_do(first: UUID, second: UUID) -> None:
    assert (first < second) == (ids.to_text(ids.KEY, first) < ids.to_text(ids.KEY, second))


@given(st.text(max_size=80))
def test_anything_else_is_unknown(text: str) -> None:
    value = ids.from_text(ids.KEY, text)
    assert value is None or ids.to_text(ids.KEY, value) == text


def test_another_prefix_is_unknown() -> None:
    assert ids.from_text(ids.KEY, ids.to_text(ids.USER, ids.uuid7())) is None


@pytest.mark.parametrize("text", ["key_8" + "0" * 25, "key_" + "0" * 25, "key_" + "u" * 26, "key_" + "0" * 27, "key_"])
def test_malformed_ids_are_unknown(text: str) -> None:
    assert ids.from_text(ids.KEY, text) is None


def test_uuid7_has_its_version_and_variant() -> None:
    value = ids.uuid7()
    assert (value.version, value.variant) == (7, "specified in RFC 4122")
