"""One request on its way through the bridge, with what is known about it, and the making of its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from bridge import headers as header_sets
from bridge import problem
from bridge.caller import Origin
from bridge.error_body import Dress, ErrorAnswer
from bridge.headers import CrossOrigin
from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.request import Request
from bridge.metadata import is_visible

_JSON = "application/json"
_UNKNOWN = "application/octet-stream"


class Exchange(msgspec.Struct, eq=False):
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

    def fields(self) -> AnswerFields:
        """Fields of an answer that begins now: those of every API answer."""
        answer: AnswerFields
        if self.own_headers:
            answer = header_sets.ApiFields()
            answer["cache-control"] = "no-store"
            self._identify(answer)
        else:
            answer = header_sets.PlainFields()
        self.cross_origin.add(self.request.fields, answer)
        return answer

    def page_fields(self, more: Mapping[str, str]) -> AnswerFields:
        """Fields of a page for people, `more` among them."""
        answer = header_sets.PageFields(more)
        self._identify(answer)
        self.cross_origin.add(self.request.fields, answer)
        return answer

    def answer(self, status: int, body: bytes, content_type: str = _JSON) -> Answer:
        """A whole answer; JSON and other text is packed where it is worth it and the client takes it."""
        return self.answer_with(self.fields(), status, body, content_type)

    def answer_with(self, fields: AnswerFields, status: int, body: bytes, content_type: str) -> Answer:
        """The same with fields that were begun already."""
        fields["content-type"] = content_type if is_visible(content_type) else _UNKNOWN
        if len(body) > header_sets.GZIP_FROM_BYTES and content_type.startswith((_JSON, problem.CONTENT_TYPE, "text/")):
            fields.add("vary", "Accept-Encoding")
            if header_sets.accepts_gzip(self.request.fields.get("accept-encoding", "")):
                fields["content-encoding"] = "gzip"
                body = header_sets.gzip(body)
        return Answer(status, fields, body)

    def _identify(self, answer: AnswerFields) -> None:
        answer["x-request-id"] = self.origin.request_id
        answer["x-process-time"] = f"{time.perf_counter() - self.started:.6f}"

    def refuse(self, error: ErrorAnswer, closes: bool = False) -> Answer:
        """An error as the whole answer, in the form that the client asked for. `closes` ends the connection then."""
        if self.dress is not None:
            error = self.dress(error)
        body, content_type = error.body, _JSON
        if error.problem is not None and problem.is_wanted(self.request.fields.every("accept")):
            body, content_type = error.problem, problem.CONTENT_TYPE
        fields = self.fields()
        fields.take(error.headers)
        answer = self.answer_with(fields, error.status, body, content_type)
        answer.closes = closes
        return answer
