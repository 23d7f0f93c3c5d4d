"""One request on its way through the bridge, with what is known about it, and the making of its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp.web import BaseRequest, Response
from multidict import CIMultiDict, CIMultiDictProxy

from bridge import headers as header_sets
from bridge import problem
from bridge.caller import Origin
from bridge.connection import Connection
from bridge.error_body import Dress, ErrorAnswer
from bridge.headers import CrossOrigin

_API_HEADERS: CIMultiDict[str] = CIMultiDict(header_sets.API)
_PLAIN_HEADERS: CIMultiDict[str] = CIMultiDict({"Server": header_sets.COMMON["Server"]})
_JSON = "application/json"


@dataclass(slots=True, eq=False)
class Exchange:
    """A request and its circumstances."""

    request: BaseRequest
    path: str
    """As it came, percent-encoded, without the query."""
    query: str
    """As it came, without the question mark."""
    origin: Origin
    cross_origin: CrossOrigin
    started: float
    """When it came, by `time.perf_counter`."""
    own_headers: bool = True
    """Whether answers carry the platform's own headers, the request's id among them."""
    label: str = "none"
    """What metrics call it: the method's name, never the path."""
    dress: Dress | None = None
    """The form of this path's errors, where it is not the usual one."""
    task: asyncio.Task[Any] | None = field(default_factory=asyncio.current_task)
    """The task that answers it."""
    streaming: bool = False
    """Whether the answer has begun as a stream, so that no other can be given."""
    cut: bool = False
    """Whether the bridge ended it, because it shuts down."""

    @property
    def draining(self) -> bool:
        """Whether the connection ends with the answer, because the bridge shuts down."""
        protocol = self.request.protocol
        return isinstance(protocol, Connection) and protocol.draining

    def cut_unless_streaming(self) -> None:
        """Ends the request from outside; what answers it finds `cut` set."""
        if self.task is not None and not self.streaming:
            self.cut = True
            self.task.cancel()

    def headers(self, more: Mapping[str, str] | None = None) -> CIMultiDict[str]:
        """Headers of an answer that begins now: those of every API answer, and `more`."""
        answer = _API_HEADERS.copy() if self.own_headers else _PLAIN_HEADERS.copy()
        if self.own_headers:
            answer["x-request-id"] = self.origin.request_id
            answer["X-Process-Time"] = f"{time.perf_counter() - self.started:.6f}"
        if more:
            answer.update(more)
        self.cross_origin.add(self.request.headers, answer)
        return answer

    def answer(
        self, status: int, body: bytes, content_type: str = _JSON, more: Mapping[str, str] | None = None
    ) -> Response:
        """A whole answer; JSON and other text is packed where it is worth it and the client takes it."""
        answer_headers = self.headers(more)
        answer_headers["Content-Type"] = content_type
        if len(body) > header_sets.GZIP_FROM_BYTES and content_type.startswith((_JSON, problem.CONTENT_TYPE, "text/")):
            answer_headers.add("Vary", "Accept-Encoding")
            if header_sets.accepts_gzip(self.request.headers.get("Accept-Encoding", "")):
                answer_headers["Content-Encoding"] = "gzip"
                body = header_sets.gzip(body)
        return Response(status=status, body=body, headers=answer_headers)

    def _accept(self) -> Sequence[str]:
        asked: object = self.request.headers
        # A request that is no HTTP has no headers, and then aiohttp gives a plain dict.
        return asked.getall("Accept", ()) if isinstance(asked, CIMultiDictProxy) else ()

    def refuse(self, error: ErrorAnswer, closes: bool = False) -> Response:
        """An error as the whole answer, in the form that the client asked for. `closes` ends the connection then."""
        if self.dress is not None:
            error = self.dress(error)
        body, content_type = error.body, _JSON
        if error.problem is not None and problem.is_wanted(self._accept()):
            body, content_type = error.problem, problem.CONTENT_TYPE
        response = self.answer(error.status, body, content_type, error.headers)
        if closes:
            response.force_close()
        return response
