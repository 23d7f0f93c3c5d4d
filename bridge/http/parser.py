"""Reads requests out of the bytes of one connection, strictly, with llhttp.

What two servers in a row might read differently is no request here: llhttp refuses folded lines, bare line feeds,
repeated and malformed lengths, a length beside chunks, and chunk sizes that are none; `bridge.framing` refuses more.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from bridge.errors import BrokenFraming
from bridge.http.body import IncomingBody
from bridge.http.fields import RequestFields
from bridge.http.request import Fault, Request, broken

MAX_FIELDS: Final = 100
MAX_FRUITLESS_BYTES: Final = 16 * 1024
"""Most bytes between two of a body: chunk extensions, trailers."""


class RequestParser:
    """Fed by its connection; `requests` grows as heads are complete, and their bodies as bytes come."""

    __slots__ = (
        "_body", "_fields", "_fruitless", "_http", "_in_head", "_largest_head", "_leaving", "_skips_head",
        "_target", "done", "requests", "rest",
    )  # fmt: skip

    def __init__(self, largest_head: int) -> None:
        """`largest_head`: most bytes of a request's target, names and values together."""
        self._largest_head = largest_head
        self._http = HttpRequestParser(self)
        self.requests: deque[Request] = deque()
        self.done = False
        """Whether no other request is read from here: the client said so, or what came is no HTTP."""
        self.rest = b""
        """What came after a request for another protocol."""
        self._body: IncomingBody | None = None
        self._in_head = False
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._fruitless = 0
        self._leaving: Request | None = None
        """The request that asks for another protocol, until its head is over."""
        self._skips_head = False

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return self._in_head

    @property
    def in_body(self) -> bool:
        """Whether a body has begun and not ended."""
        return self._body is not None

    def wanted_bytes(self, most: int) -> int:
        """How many bytes can be fed without reading far beyond one request, `most` where nobody knows."""
        body = self._body
        if body is None or body.length is None:
            return most
        return max(body.length - body.size, 1)

    def feed(self, data: bytes) -> None:
        """Reads on. Never raises: what is wrong with a head or a body stands in the request."""
        if self.done:
            return
        self._fruitless += len(data)
        try:
            self._http.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._leave_http(data[upgrade.args[0] :])
        except HttpParserError:
            if not self.done:
                self._give_up(Fault.NOT_HTTP)
        # Of a head this also counts what stands around its fields; a whole one is measured when it is complete.
        if self._fruitless > MAX_FRUITLESS_BYTES + self._largest_head and (self._in_head or self._body is not None):
            self._give_up(Fault.HEAD_TOO_LARGE)

    def close(self) -> None:
        """Nothing more comes. Parser and llhttp's know each other, and are let go together only here."""
        self.done = True
        del self._http

    # What llhttp calls.

    def on_message_begin(self) -> None:
        if self._skips_head:
            return
        self._in_head = True
        self._target = b""
        self._fields = []

    def on_url(self, piece: bytes) -> None:
        if self._in_head:
            self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, when nobody looks any more.
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self._skips_head:
            self._skips_head = False
            return
        if len(self._fields) > MAX_FIELDS or (self._fruitless > self._largest_head and self._is_too_large()):
            self._give_up(Fault.HEAD_TOO_LARGE)
            raise OverflowError
        http = self._http
        self._in_head = False
        fields = RequestFields(self._fields)
        coded = "transfer-encoding" in fields
        body = IncomingBody(None if coded else int(fields.get("content-length") or 0))
        request = Request(
            http.get_method().decode("latin-1"),
            self._target.decode("utf-8", "surrogateescape"),
            http.get_http_version(),
            fields,
            body,
            http.should_keep_alive(),
        )
        self._body = body
        if http.should_upgrade():
            self._leaving = request
        self.requests.append(request)

    def on_body(self, data: bytes) -> None:
        if self._body is not None:
            self._fruitless = 0
            self._body.feed(data)

    def on_message_complete(self) -> None:
        self._fruitless = 0
        if self._body is not None and self._leaving is None:
            self._body.end()
            self._body = None

    # The rest is between these.

    def _is_too_large(self) -> bool:
        return len(self._target) + sum(len(name) + len(value) for name, value in self._fields) > self._largest_head

    def _leave_http(self, rest: bytes) -> None:
        """A request for another protocol ended with its head, for llhttp. Only WebSocket is ever spoken here; whoever
        asks for something else is answered as if they had not, body and all."""
        request, self._leaving = self._leaving, None
        assert request is not None, "llhttp stops only after such a head"
        if request.method == "CONNECT" or "websocket" in request.fields.get("upgrade", "").lower():
            self.done = True
            self.rest = rest
            request.upgrades = request.method != "CONNECT"
            request.persists = False
            self.on_message_complete()
            return
        self._http = HttpRequestParser(self)
        if request.body.exists:
            length = request.body.length
            framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
            self._skips_head = True
            self._http.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        else:
            self.on_message_complete()
        self.feed(rest)

    def _give_up(self, fault: Fault) -> None:
        self.done = True
        body, self._body = self._body, None
        if body is not None:
            body.fail(BrokenFraming("The body is not framed as HTTP asks."))
            return
        self._in_head = False
        request = broken(fault)
        if fault is Fault.HEAD_TOO_LARGE:
            request.target = self._target.decode("utf-8", "surrogateescape")
            request.method = self._http.get_method().decode("latin-1") if request.target else ""
            request.fields = RequestFields(self._fields)
        self.requests.append(request)
