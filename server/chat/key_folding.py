"""Keys that look like another key: what a lenient provider might take for the governed one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

_SHOWN_CHARACTERS: Final = 64


def shown(text: str) -> str:
    """A caller's key or type as errors name it: its first 64 characters."""
    return text[:_SHOWN_CHARACTERS]


def fold(key: str) -> str:
    """The key as the most lenient reader sees it: without case, compatibility forms, outer blanks, `-` for `_`."""
    if not key.isascii():
        key = unicodedata.normalize("NFKC", key).casefold()
    return key.strip().lower().replace("-", "_")


def look_alike(keys: Iterable[str], names: frozenset[str]) -> tuple[str, str] | None:
    """The first key that folds to one of `names` (all lower case) without being it, and that name; else None."""
    for key in keys:
        if key not in names and (folded := fold(key)) in names:
            return key, folded
    return None
