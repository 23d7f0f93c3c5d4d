"""The form of an answer: what stands where, taken from the RPC's answer or constant.

    "key.expire_time"                          the value at this path of the RPC's answer; "." is all of it
    {$const: free}                             a constant
    {$from: time, $as: time_ms, $else: null}   a path, with a format and with what stands for nothing
    {$from: plan_id, $map: {free: Free}}       a path whose values are renamed
    {$each: keys, $item: {id: id}}             a list, each item in its own form; paths begin at the item
    {$all: user, $without: [id], name: name}   every field of an object, without some, with others
    {id: key.id, tier: {$const: free}}         an object

Everything is checked against the descriptor of the RPC's answer when the file is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from bridge.aliases.formats import FORMATS
from bridge.aliases.source import Node

Scope: TypeAlias = "Descriptor | frozenset[str]"
"""What paths begin in: a message, or a fixed set of names."""

WHOLE = "."
KEYWORDS = {
    "$const": "A constant.",
    "$from": "A path into the RPC's answer.",
    "$as": f"With `$from`: a format, one of {', '.join(f'`{name}`' for name in sorted(FORMATS))}.",
    "$else": "With `$from`: the constant that stands there where the value is absent, empty or zero.",
    "$map": "With `$from`: other words for values; a value that is not named stays.",
    "$each": "A path to a list.",
    "$item": "With `$each`: the form of each item; its paths begin at the item.",
    "$all": "In an object: every field of the object at this path.",
    "$without": "With `$all`: fields that are left out.",
}
"""The whole vocabulary of answers."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same in every answer."""

    value: Any

    def render(self, source: Any) -> Any:
        """The constant."""
        del source
        return self.value


@dataclass(frozen=True, slots=True)
class Taken:
    """A value of the RPC's answer."""

    path: tuple[str, ...]
    fields: tuple[FieldDescriptor, ...] = field(default=(), compare=False)
    """The path's fields; empty for the whole and for fixed names."""
    format: str = ""
    otherwise: Any = None
    renamed: tuple[tuple[Any, Any], ...] = ()

    def render(self, source: Any) -> Any:
        """The value, None where something on the way is absent."""
        value = source
        for step in self.path:
            value = value.get(step) if isinstance(value, dict) else None
        if not value and not isinstance(value, bool) and self.otherwise is not None:
            return self.otherwise
        if self.format and value is not None:
            value = FORMATS[self.format].write(value)
        for old, new in self.renamed:
            if value == old:
                return new
        return value


@dataclass(frozen=True, slots=True)
class Each:
    """A list, item by item."""

    items: Taken
    item: Template

    def render(self, source: Any) -> Any:
        """The list; empty where there is none."""
        return [self.item.render(each) for each in self.items.render(source) or ()]


@dataclass(frozen=True, slots=True)
class Shape:
    """An object."""

    entries: tuple[tuple[str, Template], ...]
    all_of: Taken | None = None
    without: frozenset[str] = frozenset()

    def render(self, source: Any) -> Any:
        """The object."""
        made: dict[str, Any] = {}
        if self.all_of is not None:
            every = self.all_of.render(source) or {}
            made = {name: value for name, value in every.items() if name not in self.without}
        made.update((name, template.render(source)) for name, template in self.entries)
        return made


Template: TypeAlias = "Constant | Taken | Each | Shape"


def read_template(node: Node, scope: Scope) -> Template:
    """The template that stands at `node`; its paths begin in `scope`. Raises `AliasError`."""
    if isinstance(node.value, str):
        return _taken(node, scope)
    entries = node.mapping()
    for keyword, reader in (("$const", _constant), ("$from", _from), ("$each", _each)):
        if keyword in entries:
            return reader(node, scope)
    return _shape(node, scope)


def paths_of(template: Template) -> Iterator[tuple[str, ...]]:
    """Every path that the template takes from its own scope."""
    if isinstance(template, Taken):
        yield template.path
    elif isinstance(template, Each):
        yield template.items.path
    elif isinstance(template, Shape):
        if template.all_of is not None:
            yield template.all_of.path
        for _, entry in template.entries:
            yield from paths_of(entry)


def _constant(node: Node, scope: Scope) -> Constant:
    del scope
    return Constant(node.mapping({"$const"})["$const"].plain())


def _from(node: Node, scope: Scope) -> Taken:
    entries = node.mapping({"$from", "$as", "$else", "$map"})
    taken = _taken(entries["$from"], scope)
    form = entries["$as"].one_of(FORMATS) if "$as" in entries else ""
    otherwise = entries["$else"].plain() if "$else" in entries else None
    renamed = tuple(entries["$map"].plain().items()) if "$map" in entries and entries["$map"].mapping() else ()
    return Taken(taken.path, taken.fields, form, otherwise, renamed)


def _each(node: Node, scope: Scope) -> Each:
    entries = node.mapping({"$each", "$item"}, ("$each", "$item"))
    items = _taken(entries["$each"], scope)
    if not items.fields or not items.fields[-1].is_repeated:
        raise entries["$each"].error("is no list of the RPC's answer")
    inside = items.fields[-1].message_type
    return Each(items, read_template(entries["$item"], frozenset() if inside is None else inside))


def _shape(node: Node, scope: Scope) -> Shape:
    entries = node.mapping()
    for name, entry in entries.items():
        if name.startswith("$") and name not in ("$all", "$without"):
            raise entry.error(f"is no word of an object; the words are {', '.join(KEYWORDS)}")
    every = _taken(entries["$all"], scope) if "$all" in entries else None
    without = frozenset(item.text() for item in entries["$without"].items()) if "$without" in entries else frozenset()
    if every is not None:
        _check_without(node, _inside(every, scope), without)
    named = tuple((name, read_template(each, scope)) for name, each in entries.items() if not name.startswith("$"))
    return Shape(named, every, without)


def _inside(every: Taken, scope: Scope) -> Scope:
    if not every.path:
        return scope
    message = every.fields[-1].message_type if every.fields and not every.fields[-1].is_repeated else None
    return frozenset() if message is None else message


def _check_without(node: Node, inside: Scope, without: Collection[str]) -> None:
    if not isinstance(inside, Descriptor):
        raise node.mapping()["$all"].error("is no object of the RPC's answer")
    unknown = [name for name in without if name not in inside.fields_by_name]
    if unknown:
        raise node.mapping()["$without"].error(f"names {unknown[0]!r}, which {inside.full_name} does not have")


def _taken(node: Node, scope: Scope) -> Taken:
    text = node.text()
    if text == WHOLE:
        return Taken(())
    steps = tuple(text.split("."))
    if not isinstance(scope, Descriptor):
        if text not in scope:
            known = ", ".join(sorted(scope)) or "only '.', the item itself"
            raise node.error(f"is {text!r}; what can stand there: {known}")
        return Taken(steps)
    return Taken(steps, tuple(_resolve(node, scope, steps)))


def _resolve(node: Node, scope: Descriptor, steps: tuple[str, ...]) -> Iterator[FieldDescriptor]:
    inside: Descriptor | None = scope
    last: FieldDescriptor | None = None
    for step in steps:
        if inside is None or (last is not None and last.is_repeated):
            raise node.error(f"goes through {last.name if last else step!r}, which is no single message")
        last = inside.fields_by_name.get(step)
        if last is None:
            raise node.error(f"names {step!r}, which {inside.full_name} does not have")
        yield last
        inside = last.message_type
