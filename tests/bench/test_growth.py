"""What growth says of a step."""

from __future__ import annotations

from bench.growth import Point, to_json


def test_a_step_tells_what_grew_and_what_a_call_cost() -> None:
    point = Point("organizations", 10_000, 123.4, 45.6, 700.0)
    assert point.line() == (
        "10,000 organizations: 123 us CPU a request, 46 in PostgreSQL, p50 700 us at one connection"
    )
    assert to_json([point])[0]["size"] == 10_000
