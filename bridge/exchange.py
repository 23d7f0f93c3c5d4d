"""One request on its way through the bridge, with what is known about it, and the making of its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from bridge import headers as header_sets
from bridge import problem
from bridge.caller import Origin
from bridge.error_body import Dress, ErrorAnswer
from bridge.headers import CrossOrigin
from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.request import Request
from bridge.metadata import is_visible

_PLAIN = {"server": header_sets.COMMON["server"]}
_JSON = "application/json"
_UNKNOWN = "application/octet-stream"


@dataclass(slots=True, eq=False)
class Exchange:
    """A request and its circumstances."""

    request: Request
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
    streamed: Answer | None = None
    """The answer that has begun as a stream, so that no other can be given."""
    cut: bool = False
    """Whether the bridge ended it, because it shuts down."""

    def cut_unless_streaming(self) -> None:
        """Ends the request from outside; what answers it finds `cut` set."""
        if self.streamed is None:
            self.end()

    def end(self) -> None:
        """Ends the request from outside, a stream whose last words are said too."""
        self.cut = True
        self.request.connection.cancel()

    def headers(self, more: Mapping[str, str] | None = None) -> AnswerFields:
        """Headers of an answer that begins now: those of every API answer, and `more`."""
        if self.own_headers:
            answer = AnswerFields(header_sets.API)
            answer["x-request-id"] = self.origin.request_id
            answer["x-process-time"] = f"{time.perf_counter() - self.started:.6f}"
        else:
            answer = AnswerFields(_PLAIN)
        if more:
            answer.take(more)
        self.cross_origin.add(self.request.fields, answer)
        return answer

    def answer(
        self, status: int, body: bytes, content_type: str = _JSON, more: Mapping[str, str] | None = None
    ) -> Answer:
        """A whole answer; JSON and other text is packed where it is worth it and the client takes it."""
        answer_headers = self.headers(more)
        answer_headers["content-type"] = content_type if is_visible(content_type) else _UNKNOWN
        if len(body) > header_sets.GZIP_FROM_BYTES and content_type.startswith((_JSON, problem.CONTENT_TYPE, "text/")):
            answer_headers.add("vary", "Accept-Encoding")
            if header_sets.accepts_gzip(self.request.fields.get("accept-encoding", "")):
                answer_headers["content-encoding"] = "gzip"
                body = header_sets.gzip(body)
        return Answer(status, answer_headers, body)

    def refuse(self, error: ErrorAnswer, closes: bool = False) -> Answer:
        """An error as the whole answer, in the form that the client asked for. `closes` ends the connection then."""
        if self.dress is not None:
            error = self.dress(error)
        body, content_type = error.body, _JSON
        if error.problem is not None and problem.is_wanted(self.request.fields.every("accept")):
            body, content_type = error.problem, problem.CONTENT_TYPE
        answer = self.answer(error.status, body, content_type, error.headers)
        answer.closes = closes
        return answer
