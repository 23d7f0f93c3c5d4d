"""Which server to talk to, and with which key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cli.talk.failures import TalkError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
URL_VARIABLE: Final = "TOLLBRIDGE_URL"
KEY_VARIABLE: Final = "TOLLBRIDGE_API_KEY"
_READY_FILES: Final = ("ready", "ready.json")
_BOOTSTRAP_FILE: Final = "bootstrap.json"
"""What `serve` leaves of the first start's secrets where no terminal showed them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server's base URL, without a slash at its end, and a key."""

    url: str
    key: str = field(repr=False)


def find_place(url: str | None, key: str | None, environment: Mapping[str, str], data_dir: Path) -> Place:
    """By option, else environment, else what `serve` left in the data directory, else this machine's default port.

    Raises `TalkError` where there is no key, or the URL is none.
    """
    left = _left_by_serve(data_dir)
    chosen = url or environment.get(URL_VARIABLE) or left.get("http") or DEFAULT_URL
    secret = key or environment.get(KEY_VARIABLE) or left.get("api_key")
    if not secret:
        raise TalkError(f"There is no key: set {KEY_VARIABLE}, or give --key.")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise TalkError("The key holds characters that no key has.")
    return Place(_checked(chosen), secret)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise TalkError(f"--url: {url!r} is no http or https address, such as {DEFAULT_URL}.")
    return url.rstrip("/").removesuffix("/v1")


def _left_by_serve(data_dir: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in (_BOOTSTRAP_FILE, *_READY_FILES):
        try:
            read = json.loads((data_dir / name).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(read, dict):
            found |= {key: value for key, value in read.items() if isinstance(value, str)}
    return found
