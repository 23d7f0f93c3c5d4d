"""The access log and the metrics of calls."""

from __future__ import annotations

import traceback
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from server.foundation.counting import counting
from server.rpc.context import CallContext
from server.rpc.errors import ApiError

CALLS: Final = Counter("tollbridge_calls", "Calls that ended, by method and outcome.", ["method", "outcome"])
SECONDS: Final = Histogram(
    "tollbridge_call_seconds",
    "Seconds from a call's arrival to its end.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

_SERVER_FAULTS: Final = frozenset({"INTERNAL"})


class CallLog:
    """Writes one line a call, and counts it. Lines hold ids and texts of ours, never requests or credentials."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("call")
        self._counters: dict[tuple[str, str], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def record(self, context: CallContext, error: ApiError | None, seconds: float) -> None:
        """One ended call; a fault of ours comes with its traceback."""
        outcome = "OK" if error is None else error.reason_name
        self._count(context.method, outcome, seconds)
        fields: dict[str, object] = {
            "method": context.method,
            "outcome": outcome,
            "ms": round(seconds * 1000, 3),
            "request_id": context.request_id,
            "ip": context.origin.ip,
        }
        if context.caller is not None:
            fields["org"] = context.caller.org_id
            fields["caller"] = context.caller.key_id or context.caller.user_id
        if error is None:
            self._log.info("call", **fields)
            return
        fields["error"] = error.internal or error.public
        if outcome in _SERVER_FAULTS:
            fields["traceback"] = "".join(traceback.format_exception(error.__cause__ or error))
            self._log.error("call", **fields)
            return
        self._log.info("call", **fields)

    def _count(self, method: str, outcome: str, seconds: float) -> None:
        counter = self._counters.get((method, outcome))
        if counter is None:
            counter = self._counters[method, outcome] = CALLS.labels(method, outcome)
        counting.add(counter)
        histogram = self._histograms.get(method)
        if histogram is None:
            histogram = self._histograms[method] = SECONDS.labels(method)
        histogram.observe(seconds)
