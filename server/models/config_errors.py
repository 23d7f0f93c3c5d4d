"""What is wrong with a configuration file, and where."""

from __future__ import annotations

import re
from typing import Final

_HEADER: Final = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]")


class ConfigFileError(Exception):
    """The file cannot be used. The text names file, line where known, key and reason, ready to be printed."""

    def __init__(self, source: str, line: int | None, key: str, reason: str) -> None:
        """`key` as in "models[0].input"; empty where the file is no TOML at all."""
        self.line = line
        self.key = key
        place = source if line is None else f"{source}:{line}"
        super().__init__(": ".join(part for part in (place, key, reason) if part))


def line_of(text: str, section: str, index: int, key: str) -> int | None:
    """The line of a key in the n-th table of an array, from 1; of the table's header where the key is not there."""
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    seen, header = -1, None
    for number, line in enumerate(text.splitlines(), 1):
        match = _HEADER.match(line)
        if match:
            if header is not None:
                return header
            seen += match[1] == section
            header = number if match[1] == section and seen == index else None
        elif header is not None and pattern.match(line):
            return number
    return header


def line_of_section(text: str, key: str) -> int | None:
    """The first line that names a key of the file's top level, as `key =`, `[key]`, `[key.…]` or `[[key]]`; from 1."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    header = re.compile(rf"\s*\[\[?\s*{name}\s*[.\]]")
    assignment = re.compile(rf"\s*{name}\s*[.=]")
    at_top = True
    for number, line in enumerate(text.splitlines(), 1):
        if header.match(line) or (at_top and assignment.match(line)):
            return number
        at_top = at_top and not _HEADER.match(line)
    return None


def not_utf_8(source: str, content: bytes, error: UnicodeDecodeError) -> ConfigFileError:
    """The error about a file that is no UTF-8, at the line and the key of its first wrong byte."""
    begin = content.rfind(b"\n", 0, error.start) + 1
    line = content.count(b"\n", 0, error.start) + 1
    key, equals, _ = content[begin : error.start].decode().partition("=")
    reason = f"byte 0x{content[error.start]:02x} is not UTF-8: save the file in that encoding"
    return ConfigFileError(source, line, key.strip() if equals else "", reason)
