"""Server-sent events are split the same, however their bytes arrive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.event_stream import MAX_EVENT_BYTES, EventSplitter, EventTooLargeError, frame

_STREAM = (
    b"\xef\xbb\xbf: a comment\n\ndata: one\n\ndata:two\r\n\r\nevent: x\nid: 7\ndata: th\ndata: ree\nretry: 5\n\n"
    b"data: four\r\rdata\n\n: end\n\ndata: five \n\n"
)
_EVENTS = [b"one", b"two", b"th\nree", b"four", b"", b"five "]


@given(st.lists(st.integers(0, len(_STREAM)), max_size=12))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    splitter = EventSplitter()
    edges = [0, *sorted(cuts), len(_STREAM)]
    pieces = [_STREAM[start:end] for start, end in itertools.pairwise(edges) if start < end]
    assert [event for piece in pieces for event in splitter.feed(piece)] == _EVENTS
    assert not splitter.incomplete


def test_what_is_left_is_known() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b'data: {}\n\ndata: {"a"') == [b"{}"]
    assert splitter.incomplete


@pytest.mark.parametrize(
    ("rest", "done"),
    [
        (b"data: [DONE]", True),
        (b"data: [DONE]\n", True),
        (b"data:[DONE] \r\n", True),
        (b"event: end\ndata: [DONE]\n", True),
        (b"", False),
        (b"data: [DON", False),
        (b'data: {"a":1}\n', False),
    ],
)
def test_done_needs_no_blank_line(rest: bytes, done: bool) -> None:
    splitter = EventSplitter()
    splitter.feed(b"data: {}\n\n" + rest)
    assert splitter.take_done() == done
    assert not splitter.take_done()
    assert splitter.incomplete == (bool(rest) and not done)


@pytest.mark.parametrize("end", [b"", b"\n\n"])
def test_an_event_has_a_limit(end: bytes) -> None:
    splitter = EventSplitter()
    with pytest.raises(EventTooLargeError):
        for _ in range(5):
            splitter.feed(b"x" * (MAX_EVENT_BYTES // 4 + 1))
        splitter.feed(end)


def test_many_small_events_at_once_are_fine() -> None:
    assert len(EventSplitter().feed(frame(b"{}") * 200_000)) == 200_000
