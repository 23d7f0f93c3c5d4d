"""An answer that goes out piece by piece."""

from __future__ import annotations

from collections.abc import Awaitable

from bridge.http.answer import Answer, write_head
from bridge.http.connection import persistence
from bridge.http.fields import AnswerFields
from bridge.http.request import Request


class AnswerStream:
    """Open, then write, then end. In chunks for HTTP/1.1; for HTTP/1.0 the connection's end is the answer's."""

    __slots__ = ("_chunked", "_connection", "_ended", "answer")

    def __init__(self, request: Request, status: int, fields: AnswerFields) -> None:
        self._connection = request.connection
        self._chunked = request.version != "1.0"
        self._ended = False
        self.answer = Answer(status, fields, sent=True)
        """What the handler returns. Its `closes` ends the connection after the stream."""

    @property
    def behind(self) -> bool:
        """Whether the reader is behind."""
        return self._connection.writing_paused

    @property
    def lives(self) -> bool:
        """Whether the reader is there, as far as anybody knows."""
        return self._connection.lives

    @property
    def time(self) -> float:
        """The loop's time, at most one sweep old."""
        return self._connection.time

    def open(self, request: Request) -> None:
        """Sends the head. Raises ConnectionResetError where the client left."""
        connection, answer = self._connection, self.answer
        connection.streams = True
        answer.closes = answer.closes or not self._chunked or not connection.keeps(request)
        framing = "transfer-encoding: chunked\r\n" if self._chunked else ""
        head = write_head(answer.status, answer.fields, connection.date, framing + persistence(request, answer.closes))
        connection.write(head)

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Sends a piece; an empty one is none. Where the reader is behind, what comes back is awaited before the next.

        Raises ConnectionResetError where the client left.
        """
        connection = self._connection
        if data:
            connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return connection.drained() if connection.writing_paused else None

    def end(self) -> None:
        """Ends it, once. Raises ConnectionResetError where the client left."""
        if not self._ended:
            self._ended = True
            if self._chunked:
                self._connection.write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cuts it, so that its reader knows that something is missing."""
        self._connection.abort()
