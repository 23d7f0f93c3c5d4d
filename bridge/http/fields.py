"""Fields of a request and of an answer (RFC 9110, section 5). Names are lower case on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

_LONGEST_LEARNED: Final = 40
_MOST_LEARNED: Final = 1024
_names: dict[bytes, str] = {}
"""Names as clients spell them, in lower case: the same dozen comes with every request."""


class RequestFields(dict[str, str]):
    """A request's fields by lower-case name; of a repeated one the first. Values are read as UTF-8."""

    __slots__ = ("_raw", "repeated")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """`raw` as the parser gave them, in order."""
        self._raw = raw
        self.repeated: frozenset[str] = frozenset()
        """Names that came more than once."""
        for raw_name, raw_value in raw:
            name = _names.get(raw_name) or _learn(raw_name)
            if name in self:
                self.repeated |= {name}
            else:
                self[name] = raw_value.decode("utf-8", "surrogateescape").rstrip(" \t")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All of them, in the order in which they came."""
        return [
            (name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape").rstrip(" \t"))
            for name, value in self._raw
        ]

    def every(self, name: str) -> list[str]:
        """All values of a field, in order."""
        if name not in self.repeated:
            return [self[name]] if name in self else []
        return [value for each, value in self.pairs if each == name]


class AnswerFields(dict[str, str]):
    """An answer's fields by lower-case name. A name that stands on several lines is added."""

    block: ClassVar[str] = ""
    """Whole lines that every answer of this class begins with, for kinds of answers that share many."""
    more: Sequence[tuple[str, str]] = ()
    """Lines beyond the first of their name."""

    def take(self, fields: Mapping[str, str]) -> None:
        """Sets all of these, further lines of theirs too."""
        self.update(fields)
        if isinstance(fields, AnswerFields):
            self.more = (*self.more, *fields.more)

    def add(self, name: str, value: str) -> None:
        """One more line of this name."""
        if name in self:
            self.more = (*self.more, (name, value))
        else:
            self[name] = value


def _learn(raw: bytes) -> str:
    name = raw.decode("latin-1").lower()
    if len(raw) <= _LONGEST_LEARNED and len(_names) < _MOST_LEARNED:
        _names[raw] = name
    return name
