"""Spans of time as list requests give them: `start_time` inclusive, `end_time` exclusive, both optional."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from server.rpc.errors import InvalidArgumentError

Span = tuple[datetime | None, datetime | None]


class SpanRequest(Protocol):
    """Any request with both fields."""

    @property
    def start_time(self) -> Timestamp: ...

    @property
    def end_time(self) -> Timestamp: ...


def of(request: SpanRequest) -> Span:
    """Start and end in UTC; None where absent. Raises `InvalidArgumentError` for a time outside years 1 to 9999."""
    return _time(request, "start_time"), _time(request, "end_time")


def filters(span: Span) -> list[str]:
    """What a page token of the list is bound to."""
    return [str(time) for time in span]


def _time(request: SpanRequest, field: str) -> datetime | None:
    if not request.HasField(field):  # type: ignore[attr-defined]
        return None
    value: Timestamp = getattr(request, field)
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError.of(field, "must lie in the years 1 to 9999") from error
