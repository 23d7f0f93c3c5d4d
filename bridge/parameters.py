"""Sets fields of a request from the path and from the query.

A query parameter names a field by its way through the request (`filter.page_size=3`), each step in either spelling.
A repeated field takes a parameter for each value; any other may come once. Maps and messages have no such form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from bridge import scalars, well_known
from bridge.catalog import readable_from_text
from bridge.message_reader import FieldProblem, fields_by_any_name, join, slot_of
from bridge.read_rules import NARROW, ReadRules
from bridge.scalars import WrongValue

MAX_PARAMETERS = 1000
"""Most query parameters of a request."""


def read_query(message: Message, query: str, taken: set[str], rules: ReadRules = NARROW) -> None:
    """Sets fields from a raw query. `taken` names fields that path or body give, "*" all. Raises `FieldProblem`."""
    given = set(taken)
    chosen: dict[str, str] = {}
    if rules.ignore_unknown and "*" in taken:
        return
    for name, text in split_query(query):
        fields = _find(message, name, rules)
        if not fields:
            continue
        path = ".".join(field.name for field in fields)
        _check_once(path, fields[-1], given, taken)
        _check_choices(fields, chosen)
        set_from_text(message, fields, text, path, rules)


def set_from_text(
    message: Message, fields: Sequence[FieldDescriptor], text: str, path: str, rules: ReadRules = NARROW
) -> None:
    """Sets (or appends to) the field at the end of `fields`. Raises `FieldProblem`."""
    for field in fields[:-1]:
        message = getattr(message, field.name)
    last = fields[-1]
    target: Any = getattr(message, last.name)
    try:
        if last.message_type is not None:
            child = target.add() if last.is_repeated else target
            child.Clear()
            child.SetInParent()
            well_known.read_text(child, text, rules)
        elif last.is_repeated:
            target.append(scalars.from_text(last, text, rules))
        else:
            setattr(message, last.name, scalars.from_text(last, text, rules))
    except WrongValue as problem:
        raise FieldProblem(path, str(problem)) from None


def split_query(query: str) -> Iterator[tuple[str, str]]:
    """The names and values of a raw query. Raises `FieldProblem` where it is too long or no UTF-8."""
    try:
        yield from parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeError:
        raise FieldProblem("", "is not valid UTF-8", "The query") from None
    except ValueError:
        raise FieldProblem("", f"has more than {MAX_PARAMETERS} parameters", "The query") from None


def _find(message: Message, name: str, rules: ReadRules) -> list[FieldDescriptor]:
    """The way to the named field; empty where nothing is called so and the rules pass over it."""
    fields: list[FieldDescriptor] = []
    inside: Descriptor | None = cast("Descriptor", message.DESCRIPTOR)
    for step in name.split("."):
        field = None if inside is None else fields_by_any_name(inside).get(step)
        if field is None and rules.ignore_unknown:
            return []
        if field is None or (fields and fields[-1].is_repeated):
            raise FieldProblem(name[:100], "is not a known parameter")
        fields.append(field)
        inside = None if field.message_type is None or readable_from_text(field.message_type) else field.message_type
    if inside is not None:
        raise FieldProblem(name[:100], "is a message; name one of its fields")
    return fields


def _check_once(path: str, field: FieldDescriptor, given: set[str], taken: set[str]) -> None:
    if "*" in taken:
        raise FieldProblem(path, "belongs in the body, not in the query")
    if any(path == other or path.startswith(f"{other}.") for other in taken):
        raise FieldProblem(path, "is given twice, in the query and in the path or body")
    if not field.is_repeated and path in given:
        raise FieldProblem(path, "is given twice in the query")
    given.add(path)


def _check_choices(fields: Sequence[FieldDescriptor], chosen: dict[str, str]) -> None:
    """`chosen` holds what was taken of each oneof so far, by its way through the request."""
    path = ""
    for field in fields:
        slot = slot_of(field)
        place, path = join(path, slot), join(path, field.name)
        if slot != field.name and chosen.setdefault(place, field.name) != field.name:
            raise FieldProblem(path, f"excludes {chosen[place]}, which is given too")
