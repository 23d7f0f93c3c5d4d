"""Path templates of google.api.http, parsed and matched.

The grammar (google/api/http.proto):

    Template  = "/" Segments [ Verb ] ;
    Segments  = Segment { "/" Segment } ;
    Segment   = "*" | "**" | LITERAL | Variable ;
    Variable  = "{" FieldPath [ "=" Segments ] "}" ;
    FieldPath = IDENT { "." IDENT } ;
    Verb      = ":" LITERAL ;

`*` takes one path segment, `**` any number of them and stands last. A variable without a pattern takes one segment,
and variables do not nest. A literal is written as unreserved characters of RFC 3986 or percent-encoded. "/" alone,
which the grammar lacks and other gateways serve, is the root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

ONE = "*"
"""Takes exactly one segment."""

REST = "**"
"""Takes all segments that are left, none included."""

_LITERAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;@]|%[0-9A-Fa-f]{2})+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ENCODED_SLASH = re.compile(r"(%2[Ff])")


class TemplateError(ValueError):
    """A template breaks the grammar; the text says where and how."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A named part of a template: the segments `[start, end)` of the path; `end` None reaches to the path's end."""

    field_path: str
    start: int
    end: int | None

    @property
    def multiple(self) -> bool:
        """Whether it can take more than one segment, which decides how it is decoded."""
        return self.end is None or self.end - self.start != 1

    def read(self, segments: list[str]) -> str:
        """The variable's value from the raw (still percent-encoded) segments.

        A value of one segment is decoded in full; in a value of several an encoded slash stays encoded, as
        google/api/http.proto says, so that it cannot be taken for a separator.
        """
        taken = segments[self.start : self.end]
        if not self.multiple:
            return decode(taken[0])
        return "/".join(_decode_but_slashes(segment) for segment in taken)


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed template. `segments` holds decoded literals, `ONE` and `REST`; no literal reads like one of these."""

    text: str
    segments: tuple[str, ...]
    variables: tuple[Variable, ...]
    verb: str

    @property
    def static(self) -> bool:
        """Whether exactly one path matches."""
        return ONE not in self.segments and REST not in self.segments


def decode(text: str) -> str:
    """Percent-decodes. Bytes that are no UTF-8 become lone surrogates, which whoever takes the value refuses: a path
    that cannot be read still has a method, and that method's caller is looked at first."""
    if "%" not in text and text.isascii():
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def is_text(value: str, nul: bool = False) -> bool:
    """Whether a decoded value is text that a field can hold: no lone surrogates, and no NUL unless `nul` allows it."""
    return (nul or "\x00" not in value) and not _SURROGATE.search(value)


def _decode_but_slashes(text: str) -> str:
    parts = _ENCODED_SLASH.split(text)
    return "".join(part if index % 2 else decode(part) for index, part in enumerate(parts))


def parse_template(text: str) -> PathTemplate:
    """Parses a template. Raises `TemplateError`."""
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over the grammar at the top of this module, one method a rule."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._segments: list[str] = []
        self._variables: list[Variable] = []

    def parse(self) -> PathTemplate:
        if self._text == "/":
            return PathTemplate(self._text, ("",), (), "")
        self._take("/")
        self._read_segments(inside_variable=False)
        verb = self._read_verb()
        if self._at != len(self._text):
            raise self._error(f"unexpected {self._text[self._at]!r}")
        self._check_rest_is_last()
        self._check_variables_differ()
        return PathTemplate(self._text, tuple(self._segments), tuple(self._variables), verb)

    def _read_segments(self, inside_variable: bool) -> None:
        self._read_segment(inside_variable)
        while self._peek() == "/":
            self._at += 1
            self._read_segment(inside_variable)

    def _read_segment(self, inside_variable: bool) -> None:
        if self._text.startswith(REST, self._at):
            self._at += 2
            self._segments.append(REST)
        elif self._peek() == ONE:
            self._at += 1
            self._segments.append(ONE)
        elif self._peek() == "{":
            if inside_variable:
                raise self._error("a variable inside a variable")
            self._read_variable()
        else:
            self._segments.append(self._read_literal())

    def _read_variable(self) -> None:
        self._take("{")
        field_path = self._read_field_path()
        start = len(self._segments)
        if self._peek() == "=":
            self._at += 1
            self._read_segments(inside_variable=True)
        else:
            self._segments.append(ONE)
        self._take("}")
        end = None if REST in self._segments[start:] else len(self._segments)
        self._variables.append(Variable(field_path, start, end))

    def _read_field_path(self) -> str:
        names = [self._read_identifier()]
        while self._peek() == ".":
            self._at += 1
            names.append(self._read_identifier())
        return ".".join(names)

    def _read_identifier(self) -> str:
        return self._read(_IDENTIFIER, "a field name")

    def _read_literal(self) -> str:
        literal = self._read(_LITERAL, "a literal, '*', '**' or a variable")
        decoded = decode(literal)
        if not is_text(decoded):
            raise self._error("a literal is not valid UTF-8 or holds NUL,")
        if decoded in (ONE, REST) or "/" in decoded:
            raise self._error(f"a literal that reads {decoded!r}")
        return decoded

    def _read_verb(self) -> str:
        if self._peek() != ":":
            return ""
        self._at += 1
        return self._read_literal()

    def _read(self, pattern: re.Pattern[str], expected: str) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise self._error(f"expected {expected}")
        self._at = match.end()
        return match.group()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise self._error(f"expected {character!r}")
        self._at += 1

    def _check_rest_is_last(self) -> None:
        if REST in self._segments[:-1]:
            raise TemplateError(f"Path template {self._text!r}: '**' must be the last segment.")

    def _check_variables_differ(self) -> None:
        names = [variable.field_path for variable in self._variables]
        for name in names:
            if names.count(name) > 1:
                raise TemplateError(f"Path template {self._text!r}: field {name!r} stands there twice.")

    def _error(self, problem: str) -> TemplateError:
        return TemplateError(f"Path template {self._text!r}: {problem} at position {self._at}.")
