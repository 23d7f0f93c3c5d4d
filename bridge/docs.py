"""`/docs` and `/openapi.json`: the API's own description, served from this process alone.

The page is Scalar's API reference, vendored in `static/scalar/`. Its Content-Security-Policy lets the browser talk to
nobody but us, whatever the bundle would like to do.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bridge import headers as header_sets
from bridge.exchange import Exchange
from bridge.http.answer import Answer

_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Page = Callable[[Exchange], Awaitable[Answer]]


def docs_pages(openapi_path: Path, make_openapi: Callable[[], bytes] | None = None) -> dict[str, Page]:
    """Every page of the documentation by its path. `make_openapi` makes the document where the file does not say all
    that is served; it is called once, in a thread, when somebody first asks."""
    return {
        "/docs": _file_page(_STATIC / "docs.html", "text/html; charset=utf-8", fresh_seconds=0),
        "/docs/start.js": _file_page(_STATIC / "start.js", "text/javascript; charset=utf-8", fresh_seconds=0),
        "/docs/scalar.js": _file_page(
            _STATIC / "scalar" / "standalone.js", "text/javascript; charset=utf-8", fresh_seconds=3600
        ),
        "/openapi.json": _file_page(openapi_path, "application/json", 0, make_openapi),
    }


@dataclass(frozen=True, slots=True)
class _File:
    """A file's content, packed, and the tag that browsers ask again with."""

    packed: bytes
    etag: str


@cache
def _load(path: Path, make: Callable[[], bytes] | None) -> _File:
    body = path.read_bytes() if make is None else make()
    return _File(header_sets.gzip(body), f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _file_page(path: Path, content_type: str, fresh_seconds: int, make: Callable[[], bytes] | None = None) -> Page:
    """A file (or what is made instead of it), packed when it is first asked for. Raises FileNotFoundError at once where
    it is missing."""
    path.stat()
    fixed = {
        "content-type": content_type,
        "content-security-policy": _POLICY,
        "cache-control": f"public, max-age={fresh_seconds}" if fresh_seconds else "no-cache",
        "vary": "Accept-Encoding",
    }

    async def show(exchange: Exchange) -> Answer:
        file = await asyncio.to_thread(_load, path, make)
        answer_headers = exchange.page_fields({**fixed, "etag": file.etag})
        if exchange.request.fields.get("if-none-match") == file.etag:
            return Answer(304, answer_headers)
        if not header_sets.accepts_gzip(exchange.request.fields.get("accept-encoding", "")):
            return Answer(200, answer_headers, gzip.decompress(file.packed))
        answer_headers["content-encoding"] = "gzip"
        return Answer(200, answer_headers, file.packed)

    return show
