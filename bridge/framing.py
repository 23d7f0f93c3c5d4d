"""What HTTP's own parser lets through and two servers in a row might read differently (RFC 9112, section 11.2)."""

from __future__ import annotations

import re
from functools import lru_cache

from bridge.errors import BrokenFraming
from bridge.http.request import Request

_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_SINGLE = {
    "host": "Host",
    "authorization": "Authorization",
    "content-type": "Content-Type",
    "content-encoding": "Content-Encoding",
    "x-api-key": "x-api-key",
    "idempotency-key": "Idempotency-Key",
}
"""Headers that say one thing; given twice, nobody knows which one counts."""


def check_framing(request: Request) -> None:
    """Raises `BrokenFraming` (400, and the connection ends) for requests that can be read in two ways."""
    fields = request.fields
    if request.version not in ("1.1", "1.0"):
        raise BrokenFraming("This is neither HTTP/1.1 nor HTTP/1.0.")
    if "transfer-encoding" in fields:
        _check_coding(request)
    if "host" not in fields and request.version == "1.1":
        raise BrokenFraming("HTTP/1.1 wants a Host header.")
    if not _is_host(fields.get("host", "")):
        raise BrokenFraming("The Host header is not a host.")
    if fields.repeated:
        for name in fields.repeated & _SINGLE.keys():
            raise BrokenFraming(f"The header {_SINGLE[name]} stands there more than once.")


def _check_coding(request: Request) -> None:
    if request.version == "1.0" or [each.lower() for each in request.fields.every("transfer-encoding")] != ["chunked"]:
        raise BrokenFraming("Transfer-Encoding must be 'chunked', and needs HTTP/1.1.")
    if "content-length" in request.fields:
        raise BrokenFraming("Content-Length and Transfer-Encoding cannot stand together.")


@lru_cache(maxsize=1024)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None
