"""Where the documents lie, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent
README: Final = CHECKOUT / "README.md"
DECISIONS: Final = CHECKOUT / "docs" / "adr"

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a document."""

    language: str
    text: str


def documents() -> list[Path]:
    """Every document for readers of the project."""
    found = (README, CHECKOUT / "sdk" / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md")))
    return [path for path in found if path.exists()]


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    return [Block(*found) for found in _FENCE.findall(document.read_text("utf-8"))]


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", document.read_text("utf-8"))


def table_rows(document: Path, heading: str) -> Iterator[list[str]]:
    """Cells of the first table after a heading, row by row, its own headings left out."""
    section = document.read_text("utf-8").partition(f"\n{heading}\n")[2]
    assert section, f"{document.name} has no {heading!r}"
    rows = re.search(r"^\|.*\n\|[-| ]+\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert rows is not None, f"{heading!r} has no table"
    for row in rows[1].splitlines():
        yield [cell.strip() for cell in row.strip("|").split(" | ")]
