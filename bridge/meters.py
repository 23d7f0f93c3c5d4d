"""Counts and times of requests, for Prometheus, by method and status. Never by path: a path can hold ids."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Meters:
    """The bridge's own meters, in the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "status")
        self._requests = Counter("tollbridge_http_requests", "HTTP requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "tollbridge_http_request_seconds",
            "Time from the request's headers to the end of its answer.",
            ("method",),
            buckets=_BUCKETS,
            registry=registry,
        )
        # Looking a labelled child up costs more than counting does.
        self._counters: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def count(self, method: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        counter = self._counters.get((method, status))
        if counter is None:
            counter = self._counters[method, status] = self._requests.labels(method, str(status))
        timer = self._timers.get(method)
        if timer is None:
            timer = self._timers[method] = self._seconds.labels(method)
        counter.inc()
        timer.observe(seconds)
