"""JSON of providers that strict readers refuse: half of a surrogate pair, where an answer was cut inside an emoji."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

_ESCAPE: Final = re.compile(
    rb"\\(?:[^u]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
_REPLACEMENT: Final = rb"\ufffd"


def mended(data: bytes) -> bytes:
    """The same JSON with the escape of U+FFFD for each lone surrogate's, which has as many bytes."""
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found[1] else found[0], data)


def read(data: bytes) -> Any:
    """The value, with U+FFFD for lone surrogates and for what is no UTF-8.

    Raises `orjson.JSONDecodeError` for what is no JSON, nests deeper than 1,024 or has numbers beyond a double's.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return orjson.loads(mended(data).decode(errors="replace"))
