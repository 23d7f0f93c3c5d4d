"""What HTTP's own parser lets through and two servers in a row might read differently (RFC 9112, section 11.2)."""

from __future__ import annotations

import re

from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.web import BaseRequest

from bridge.errors import BrokenFraming

_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_SINGLE = ("Authorization", "Content-Type", "Content-Encoding", "x-api-key", "Idempotency-Key")
"""Headers that say one thing; given twice, nobody knows which one counts."""


def check_framing(request: BaseRequest) -> None:
    """Raises `BrokenFraming` (400, and the connection ends) for requests that can be read in two ways."""
    headers = request.headers
    if request.version not in (HttpVersion10, HttpVersion11):
        raise BrokenFraming("This is neither HTTP/1.1 nor HTTP/1.0.")
    coding = headers.get("Transfer-Encoding")
    if coding is not None and (request.version == HttpVersion10 or coding.strip().lower() != "chunked"):
        raise BrokenFraming("Transfer-Encoding must be 'chunked', and needs HTTP/1.1.")
    if not _HOST.fullmatch(headers.get("Host", "")):
        raise BrokenFraming("The Host header is not a host.")
    for name in _SINGLE:
        if len(headers.getall(name, ())) > 1:
            raise BrokenFraming(f"The header {name} stands there more than once.")
