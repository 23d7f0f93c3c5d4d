"""The names that `--aliases` takes. Loads nothing, because `serve` reads them before it turns into the supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Final

VARIABLE: Final = "TOLLBRIDGE_ALIASES"


def names_of(text: str) -> tuple[str, ...]:
    """Names and paths, which are separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def absolute_names(text: str) -> str:
    """The same text with paths of files made absolute, so that a process elsewhere finds them."""
    return ",".join(str(Path(name).absolute()) if _is_file(name) else name for name in names_of(text))


def _is_file(name: str) -> bool:
    return "/" in name or name.endswith(".yaml")
