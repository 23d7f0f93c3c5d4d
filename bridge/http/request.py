"""A request as a handler gets it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from bridge.http.body import IncomingBody
from bridge.http.fields import RequestFields

if TYPE_CHECKING:
    from bridge.http.connection import Connection


class Fault(Enum):
    """What is wrong with a request that is none."""

    NOT_HTTP = "not HTTP"
    HEAD_TOO_LARGE = "more bytes or fields than are taken"


class Request(msgspec.Struct, eq=False):
    """One request. With a `fault` only what was read of its target and fields stands here."""

    method: str
    target: str
    """As it came: a path with its query, or a whole address."""
    version: str
    """`1.1` or `1.0`; others are for the handler to refuse."""
    fields: RequestFields
    body: IncomingBody
    persists: bool
    """Whether the client keeps the connection."""
    upgrades: bool = False
    """Whether it asks for WebSocket. Its handler may take the connection over; else it ends with the answer."""
    fault: Fault | None = None
    _connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """Where it came from. Only of a request that is being handled."""
        assert self._connection is not None, "asked while it is handled"
        return self._connection

    def came_over(self, connection: Connection) -> None:
        """Called once, before it is handled."""
        self._connection = connection


def broken(fault: Fault) -> Request:
    """What stands for bytes that are no request."""
    body = IncomingBody(0)
    body.end()
    return Request("", "", "1.1", RequestFields(), body, persists=False, fault=fault)
