"""What the comparison of workers says."""

from bench.workers import Comparison, Loss


def test_two_workers_carry_twice_as_much_where_a_request_costs_the_same() -> None:
    comparison = Comparison(2, 500.0, 500.0, [0.5, 0.5], Loss(1000, 3, 1.4))
    assert comparison.carried == 2.0
    assert comparison.to_json()["carried"] == 2.0
    said = "\n".join(comparison.lines())
    assert "carry 2.00 times one" in said
    assert "3 of 1000 lost" in said
    assert "1.40 s" in said


def test_dearer_requests_carry_less() -> None:
    assert Comparison(2, 500.0, 625.0, [0.6, 0.4], Loss(1, 0, 1.0)).carried == 1.6
