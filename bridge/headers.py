"""Headers that every answer carries, and the two things that depend on what the client can take: CORS and gzip."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from bridge.http.fields import AnswerFields, RequestFields

_SERVER = "server: tollbridge\r\n"
_COMMON = _SERVER + "x-content-type-options: nosniff\r\nx-frame-options: DENY\r\nreferrer-policy: no-referrer\r\n"
_NO_CONTENT = "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"


class ApiFields(AnswerFields):
    """Of an answer that no person looks at."""

    block = _COMMON + _NO_CONTENT


class PageFields(AnswerFields):
    """Of a page for people, which says itself what it may load."""

    block = _COMMON


class PlainFields(AnswerFields):
    """Of an answer that carries nothing of the platform's."""

    block = _SERVER


EVENT_STREAM = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
"""On server-sent events: no proxy may hold them back or change them."""

GZIP_FROM_BYTES = 1024
"""Smallest answer that is worth packing."""

_GZIP_LEVEL = 4
_GZIP_WINDOW = 31
_PREFLIGHT_SECONDS = "600"
_CORS_VERBS = "GET, POST, PUT, PATCH, DELETE"
_STAINLESS = re.compile(r"x-stainless-[a-z-]{1,40}")
"""What OpenAI's libraries say about themselves; they send it from browsers too."""
_CORS_HEADERS = "authorization, content-type, idempotency-key, traceparent, x-api-key"
_CORS_EXPOSED = (
    "x-request-id, x-process-time, openai-processing-ms, retry-after, retry-after-ms, idempotent-replayed, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)


class CrossOrigin:
    """Which pages may call: an exact list of origins. Credentials are bearer tokens, so cookies are never allowed."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def add(self, request: RequestFields, answer: AnswerFields) -> None:
        """Adds what the asking page's browser needs to see. Nothing for other pages."""
        if not self._origins:
            return
        answer.add("vary", "Origin")
        origin = request.get("origin")
        if origin is not None and origin in self._origins:
            answer["access-control-allow-origin"] = origin
            answer["access-control-expose-headers"] = _CORS_EXPOSED

    def add_preflight(self, request: RequestFields, answer: AnswerFields) -> None:
        """Adds what a preflight of an allowed page asks for."""
        if request.get("origin") in self._origins and "access-control-request-method" in request:
            answer["access-control-allow-methods"] = _CORS_VERBS
            asked = request.get("access-control-request-headers", "").lower().split(",")
            stainless = [name.strip() for name in asked if _STAINLESS.fullmatch(name.strip())]
            answer["access-control-allow-headers"] = ", ".join([_CORS_HEADERS, *stainless[:20]])
            answer["access-control-max-age"] = _PREFLIGHT_SECONDS


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, 12.5.3)."""
    for entry in accept_encoding.lower().split(","):
        coding, _, parameters = entry.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def gzip(body: bytes) -> bytes:
    """The body packed; the same bytes give the same result (no time stamp)."""
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(body) + packer.flush()
