"""Loads the systems that were asked for, and makes sure that their routes fit together and shadow nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.aliases.reader import PAGES, Reader, template_of
from bridge.aliases.route import AliasRoute, System, conflict
from bridge.aliases.source import AliasError
from bridge.catalog import Catalog
from bridge.path_template import ONE, REST, PathTemplate, parse_template

FOLDER = Path(__file__).parent
Key = tuple[str, tuple[str, ...], str]
"""Verb, segments and the template's own verb: what a request is matched by, before its query."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """The loaded systems, in the order asked for."""

    systems: tuple[System, ...]

    def by_call(self) -> dict[Key, list[tuple[System, AliasRoute, PathTemplate]]]:
        """Every route by what it is matched by; several only where their queries differ."""
        found: dict[Key, list[tuple[System, AliasRoute, PathTemplate]]] = {}
        for system in self.systems:
            for route in system.routes:
                for template in templates_of(route):
                    options = found.setdefault((route.http_verb, template.segments, template.verb), [])
                    if not any(other.match == route.match for _, other, _ in options):
                        options.append((system, route, template))
        return found


def known_systems() -> tuple[str, ...]:
    """Names of the systems that come with the product."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load(names: Sequence[str], catalog: Catalog) -> Aliases:
    """The systems of these names; a name with a slash or ending in `.yaml` is a file of the operator's.

    Raises `AliasError`, whose text names file, line and place.
    """
    reader = Reader(catalog)
    systems = tuple(reader.read(_path(name)) for name in names)
    for index, system in enumerate(systems):
        if any(other.name == system.name for other in systems[:index]):
            raise AliasError(f"--aliases: {system.name!r} is named twice.")
    _check_conflicts(systems)
    _check_shadows(systems, catalog)
    return Aliases(systems)


def templates_of(route: AliasRoute) -> Iterator[PathTemplate]:
    """The route's path, in both forms where it has two."""
    yield template_of(route.path)
    if route.both_slashes:
        yield template_of(route.path.removesuffix("/") if route.path.endswith("/") else f"{route.path}/")


def _path(name: str) -> Path:
    if "/" in name or name.endswith(".yaml"):
        return Path(name)
    if name not in known_systems():
        known = ", ".join(known_systems())
        raise AliasError(f"--aliases: {name!r} is no system; there are {known}, and files that end in .yaml.")
    return FOLDER / f"{name}.yaml"


def _check_conflicts(systems: Sequence[System]) -> None:
    seen: dict[tuple[Key, tuple[tuple[str, str], ...]], tuple[System, AliasRoute]] = {}
    for system in systems:
        for route in system.routes:
            for template in templates_of(route):
                key = ((route.http_verb, template.segments, template.verb), route.match)
                owner, other = seen.setdefault(key, (system, route))
                if other is route:
                    continue
                if owner is system or not (other.shared and route.shared and other == route):
                    raise conflict(other, route)


def _check_shadows(systems: Sequence[System], catalog: Catalog) -> None:
    taken = [(parse_template(path), "a page of the bridge") for path in PAGES]
    for method in catalog.methods:
        if method.access is not None:
            taken += [(binding.template, method.full_name) for binding in method.bindings]
    for system in systems:
        for route in system.routes:
            for template in templates_of(route):
                for other, owner in taken:
                    if _overlap(template, other):
                        raise AliasError(f"{route.origin}: {route.call} shadows {other.text}, which is {owner}.")


def _overlap(first: PathTemplate, second: PathTemplate) -> bool:
    """Whether some path fits both."""
    if first.verb != second.verb:
        return False
    left, right = list(first.segments), list(second.segments)
    for index in range(max(len(left), len(right)) + 1):
        mine, others = (side[index] if index < len(side) else None for side in (left, right))
        if REST in (mine, others):
            return True
        if mine is None or others is None:
            return mine is others
        if mine != others and not _takes(mine, others) and not _takes(others, mine):
            return False
    return True


def _takes(pattern: str, segment: str) -> bool:
    """Whether a wildcard takes the segment; an empty one, after a slash at the end, is taken by none."""
    return pattern == ONE and segment != ""
