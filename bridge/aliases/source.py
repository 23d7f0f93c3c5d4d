"""YAML read so that every complaint can name file, line and place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

Scalar = str | int | float | bool | None


class AliasError(ValueError):
    """An alias file cannot be served; the text names file, line, place and what is wrong."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a file and where it stands."""

    value: dict[str, Node] | list[Node] | Scalar
    file: str
    line: int
    place: str
    """For instance `routes[3].out.key`; empty for the whole file."""

    def error(self, problem: str) -> AliasError:
        """The problem, a clause such as "must be text", at this place."""
        where = f"{self.file}, line {self.line}"
        return AliasError(f"{where}: {self.place} {problem}." if self.place else f"{where}: the file {problem}.")

    def mapping(self, allowed: Collection[str] | None = None, required: Collection[str] = ()) -> dict[str, Node]:
        """The entries of a mapping. Raises `AliasError` for other values and for keys outside `allowed`."""
        if not isinstance(self.value, dict):
            raise self.error("must be a mapping")
        for name, node in self.value.items():
            if allowed is not None and name not in allowed:
                raise node.error(f"is not known; what can stand there: {', '.join(sorted(allowed))}")
        missing = [name for name in required if name not in self.value]
        if missing:
            raise self.error(f"lacks {missing[0]!r}")
        return self.value

    def items(self) -> list[Node]:
        """The items of a list."""
        if not isinstance(self.value, list):
            raise self.error("must be a list")
        return self.value

    def text(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error("must be text")
        return self.value.strip()

    def one_of(self, known: Collection[str]) -> str:
        """One of a few words."""
        text = self.text()
        if text not in known:
            raise self.error(f"is {text!r}; it can be {', '.join(sorted(known))}")
        return text

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.error("must be true or false")
        return self.value

    def plain(self) -> Any:
        """The value as plain JSON."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_file(path: Path) -> Node:
    """The whole file. Raises `AliasError` where it cannot be read, is no YAML, or names something twice."""
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise AliasError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise AliasError(f"{path} is not UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise AliasError(f"{path.name}, line {line}: this is no YAML, {error.problem}.") from None
    if root is None:
        raise AliasError(f"{path.name}, line 1: the file is empty.")
    return _convert(root, path.name, "")


def _convert(node: yaml.Node, file: str, place: str) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        items = [_convert(item, file, f"{place}[{number}]") for number, item in enumerate(node.value)]
        return Node(items, file, line, place)
    if isinstance(node, yaml.MappingNode):
        return Node(dict(_entries(node, file, place)), file, line, place)
    value = _scalar(node)
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise Node(None, file, line, place).error("must be text, a number, true, false or null; quote a date")
    return Node(value, file, line, place)


def _entries(node: yaml.MappingNode, file: str, place: str) -> Iterator[tuple[str, Node]]:
    seen: set[str] = set()
    for key, value in node.value:
        name = _scalar(key) if isinstance(key, yaml.ScalarNode) else None
        where = f"{place}.{key.value}" if place else str(key.value)
        at_key = Node(None, file, key.start_mark.line + 1, where)
        if not isinstance(name, str):
            raise at_key.error("is a name that is no text; quote it")
        if name in seen:
            raise at_key.error("stands there twice")
        seen.add(name)
        yield name, _convert(value, file, f"{place}.{name}" if place else name)


def _scalar(node: yaml.Node) -> Any:
    # The constructor's parsers of single values: what SafeLoader would make of them.
    constructor = SafeConstructor()
    return constructor.construct_object(node)
