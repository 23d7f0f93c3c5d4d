"""What is counted in memory comes to the metrics whole, once."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from server.foundation.counting import Counting


def test_counts_are_added_up_and_written_once() -> None:
    registry = CollectorRegistry()
    family = Counter("things", "Things.", ["kind"], registry=registry)
    counting = Counting()
    for _ in range(3):
        counting.add(family.labels("a"))
    counting.add(family.labels("b"), 7)
    assert registry.get_sample_value("things_total", {"kind": "a"}) == 0
    counting.write()
    counting.write()
    assert registry.get_sample_value("things_total", {"kind": "a"}) == 3
    assert registry.get_sample_value("things_total", {"kind": "b"}) == 7
