"""How a documented request becomes the RPC's: names, words, defaults and constants.

    {apiKey: secret, name: key.name}               a documented name, and the field that it fills
    {timeRange: {$to: span, $map: {1h: HOUR}}}     with other words for its values
    {message: {$to: messages, $as: user_message}}  with a format

What is not renamed keeps its name and is read like the canonical call's; names that the RPC does not know are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from bridge.aliases.formats import IN_FORMATS
from bridge.aliases.source import Node
from bridge.json_guard import JsonValue
from bridge.message_reader import FieldProblem

KEYWORDS = {
    "$to": "The field of the RPC's request that the documented name fills.",
    "$as": f"A format, one of {', '.join(f'`{name}`' for name in sorted(IN_FORMATS))}.",
    "$map": "Other words for values; a value that is not named is refused.",
}
"""The whole vocabulary of requests, beside plain renames."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    """One documented name."""

    name: str
    path: Path
    fields: tuple[FieldDescriptor, ...] = field(default=(), compare=False)
    format: str = ""
    words: tuple[tuple[str, str], ...] = ()

    def read(self, value: JsonValue) -> JsonValue:
        """The value as the RPC takes it. Raises `FieldProblem`."""
        if self.format and value is not None:
            return IN_FORMATS[self.format].read(value, self.name)
        if not self.words or value is None:
            return value
        for word, meaning in self.words:
            if value == word:
                return meaning
        raise FieldProblem(self.name, f"must be one of {', '.join(word for word, _ in self.words)}")


@dataclass(frozen=True, slots=True)
class RequestRules:
    """All rules of one route's request."""

    body: tuple[Rename, ...] = ()
    query: tuple[Rename, ...] = ()
    ignored: frozenset[str] = frozenset()
    defaults: tuple[tuple[Path, Any], ...] = ()
    constants: tuple[tuple[Path, Any], ...] = ()

    @property
    def documented_names(self) -> dict[str, str]:
        """The documented name of each field that is renamed. One that is another form of a field does not hide it."""
        return {".".join(each.path): each.name for each in (*self.body, *self.query) if not each.format}

    def fields_of_body(self, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The RPC's fields from a documented body. Raises `FieldProblem`, which names documented fields."""
        made: dict[str, JsonValue] = {}
        renames = {rename.name: rename for rename in self.body}
        for name, value in given.items():
            if name in self.ignored:
                continue
            rename = renames.get(name)
            if rename is None:
                _put(made, (name,), value, name)
            else:
                _put(made, rename.path, rename.read(value), name)
        self._complete(made)
        return made

    def members_of_body(self, body: bytes) -> bytes:
        """The same for a body that the server reads itself: its top level is edited, every other byte stays.

        What is no JSON object is left as it is, for the server to refuse. Raises `FieldProblem`.
        """
        try:
            given = _members.decode(body)
        except (msgspec.MsgspecError, RecursionError):
            return body
        renames = {rename.name: rename for rename in self.body}
        made: dict[str, bytes | memoryview] = {}
        for name, raw in given.items():
            if name in self.ignored:
                continue
            rename, value = renames.get(name), memoryview(raw)
            if rename is None:
                _put(made, (name,), value, name)
            else:
                _put(made, rename.path, orjson.dumps(rename.read(_read(raw, name))), name)
        raw_defaults = [(path[0], orjson.dumps(value)) for path, value in self.defaults]
        made.update((name, raw) for name, raw in raw_defaults if name not in made)
        for path, value in self.constants:
            _put(made, path, orjson.dumps(value), path[0])
        return b"{" + b",".join([orjson.dumps(name) + b":" + raw for name, raw in made.items()]) + b"}"

    def parameters(self, given: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The RPC's query parameters from documented ones. Raises `FieldProblem`."""
        renames = {rename.name: rename for rename in self.query}
        made: list[tuple[str, str]] = []
        for name, text in given:
            rename = renames.get(name)
            if name in self.ignored:
                continue
            if rename is None:
                made.append((name, text))
            else:
                made.append((".".join(rename.path), str(rename.read(text))))
        return made

    def completed_parameters(self, given: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The parameters with defaults and constants, for a call without a body. Raises `FieldProblem`."""
        names = {name for name, _ in given}
        for path, _ in self.constants:
            if ".".join(path) in names:
                raise FieldProblem(".".join(path), "cannot be set here")
        more = [(".".join(path), value) for path, value in self.constants]
        more += [(".".join(path), value) for path, value in self.defaults if ".".join(path) not in names]
        return [*given, *((name, text) for name, value in more for text in _texts(value))]

    def _complete(self, made: dict[str, JsonValue]) -> None:
        for path, value in self.constants:
            _put(made, path, value, ".".join(path))
        for path, value in self.defaults:
            if _find(made, path) is None:
                _put(made, path, value, ".".join(path), replace=True)


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_renames(node: Node, message: Descriptor) -> tuple[Rename, ...]:
    """The renames that stand at `node`, to fields of `message`. Raises `AliasError`."""
    made = tuple(_rename(name, entry, message) for name, entry in node.mapping().items())
    paths = [rename.path for rename in made]
    for rename, path in zip(made, paths, strict=True):
        if paths.count(path) > 1:
            raise node.mapping()[rename.name].error(f"fills {'.'.join(path)!r}, which another name fills too")
    return made


def read_values(node: Node, message: Descriptor) -> tuple[tuple[Path, Any], ...]:
    """Constants by field of `message`. Raises `AliasError`."""
    return tuple((_path(entry, name, message)[0], entry.plain()) for name, entry in node.mapping().items())


def _rename(name: str, node: Node, message: Descriptor) -> Rename:
    if isinstance(node.value, str):
        return Rename(name, *_path(node, node.text(), message))
    entries = node.mapping(KEYWORDS, ("$to",))
    path, fields = _path(entries["$to"], entries["$to"].text(), message)
    words = {word: each.text() for word, each in entries["$map"].mapping().items()} if "$map" in entries else {}
    form = entries["$as"].one_of(IN_FORMATS) if "$as" in entries else ""
    return Rename(name, path, fields, form, tuple(words.items()))


def _path(node: Node, text: str, message: Descriptor) -> tuple[Path, tuple[FieldDescriptor, ...]]:
    fields: list[FieldDescriptor] = []
    inside: Descriptor | None = message
    for step in text.split("."):
        if inside is None or (fields and fields[-1].is_repeated):
            raise node.error(f"goes through {fields[-1].name!r}, which is no single message")
        found = inside.fields_by_name.get(step)
        if found is None:
            raise node.error(f"names {step!r}, which {inside.full_name} does not have")
        fields.append(found)
        inside = found.message_type
    return tuple(text.split(".")), tuple(fields)


def _put(made: dict[str, Any], path: Path, value: Any, name: str, replace: bool = False) -> None:
    for step in path[:-1]:
        inner = made.setdefault(step, {})
        if not isinstance(inner, dict):
            raise FieldProblem(name, "is given twice, by two names")
        made = inner
    if path[-1] in made and not replace:
        raise FieldProblem(name, "cannot be set here, or is given twice by two names")
    made[path[-1]] = value


def _find(made: Mapping[str, Any], path: Path) -> Any:
    value: Any = made
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _read(raw: msgspec.Raw, name: str) -> JsonValue:
    try:
        value: JsonValue = orjson.loads(bytes(raw))
    except orjson.JSONDecodeError:
        raise FieldProblem(name, "is not valid JSON") from None
    return value


def _texts(value: Any) -> Iterable[str]:
    values = value if isinstance(value, list) else [value]
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in values]
