"""Finds what serves a path and a verb.

The most specific path wins: at each segment a literal before `*` before `**`, and a template with a verb (`:rotate`)
before one without. The path is decided first and the HTTP verb after it, so a reserved word is never taken for an id:
with `POST /v1/keys/search` and `GET /v1/keys/{id}`, a GET of `/v1/keys/search` is 405, not the key "search". A router
that is made with `path_before_verb=False` serves it as the key "search", as other gateways do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from bridge.error_body import Dress
from bridge.path_template import ONE, REST, PathTemplate, Variable, decode

Target = TypeVar("Target")

ANY_VERB = "*"
"""The HTTP verb of a binding that takes all of them (`custom { kind: "*" }`)."""


class RouteConflict(ValueError):
    """Two bindings claim one path and verb; the text names both."""


@dataclass(frozen=True, slots=True)
class Route(Generic[Target]):
    """One binding's place in the router."""

    http_verb: str
    template: PathTemplate
    target: Target
    name: str
    """For the message of a conflict."""
    dress: Dress | None = None
    """The form of errors on this path, where it is not the usual one."""


class Found(msgspec.Struct, Generic[Target]):
    """A path that is served. `target` is None where it is not served with this verb."""

    target: Target | None
    variables: list[tuple[Variable, str]]
    """Each variable with its decoded value."""
    allowed: tuple[str, ...]
    """Verbs that the path is served with, for `Allow`, sorted; HEAD comes with GET, OPTIONS always."""
    dress: Dress | None = None
    """The form of errors on this path, also where it is not served with this verb."""


@dataclass(slots=True)
class _Leaf(Generic[Target]):
    """What ends at one place of the tree: a route for each HTTP verb."""

    routes: dict[str, Route[Target]] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()

    def add(self, route: Route[Target]) -> None:
        other = self.routes.get(route.http_verb)
        if other is not None:
            raise RouteConflict(
                f"{other.name} ({other.template.text}) and {route.name} ({route.template.text}) both claim "
                f"{route.http_verb} of the same path."
            )
        self.routes[route.http_verb] = route
        verbs = set(self.routes) - {ANY_VERB} | {"OPTIONS"}
        self.allowed = tuple(sorted(verbs | {"HEAD"} if "GET" in verbs else verbs))

    def route(self, http_verb: str) -> Route[Target] | None:
        found = self.routes.get(http_verb)
        if found is None and http_verb == "HEAD":
            found = self.routes.get("GET")
        return found or self.routes.get(ANY_VERB)

    def dress(self, route: Route[Target] | None) -> Dress | None:
        """The form of errors of a route, or of any here where the verb has none."""
        if route is not None:
            return route.dress
        return next((other.dress for other in self.routes.values() if other.dress is not None), None)


@dataclass(slots=True)
class _Node(Generic[Target]):
    """A place in the tree of segments; leaves by the template's verb, "" for none."""

    literals: dict[str, _Node[Target]] = field(default_factory=dict)
    one: _Node[Target] | None = None
    rest: _Node[Target] | None = None
    leaves: dict[str, _Leaf[Target]] = field(default_factory=dict)


class Router(Generic[Target]):
    """Routes, built once. A path without wildcards and percent signs costs one dict lookup."""

    def __init__(self, routes: Iterable[Route[Target]], *, path_before_verb: bool = True) -> None:
        """Raises `RouteConflict`."""
        self._path_before_verb = path_before_verb
        self._root: _Node[Target] = _Node()
        self._static: dict[str, _Leaf[Target]] = {}
        for route in routes:
            self._insert(route)

    def find(self, http_verb: str, path: str) -> Found[Target] | None:
        """What serves `path` (as it came, percent-encoded, without the query). None: nothing does."""
        leaf = self._static.get(path)
        route = None if leaf is None else leaf.route(http_verb)
        if route is not None and route.template.variables:
            # A variable can be all literal, such as {name=operations}.
            return self._walk(http_verb, path)
        if leaf is not None and (route is not None or self._path_before_verb):
            return Found(None if route is None else route.target, [], leaf.allowed, leaf.dress(route))
        return self._walk(http_verb, path)

    def _insert(self, route: Route[Target]) -> None:
        node = self._root
        for segment in route.template.segments:
            node = _child(node, segment)
        leaf = node.leaves.setdefault(route.template.verb, _Leaf())
        leaf.add(route)
        if route.template.static and not route.template.variables:
            verb = f":{route.template.verb}" if route.template.verb else ""
            self._static["/" + "/".join(route.template.segments) + verb] = leaf

    def _walk(self, http_verb: str, path: str) -> Found[Target] | None:
        if not path.startswith("/"):
            return None
        raw = path[1:].split("/")
        passed: set[str] = set()

        def takes(leaf: _Leaf[Target]) -> bool:
            if self._path_before_verb or leaf.route(http_verb) is not None:
                return True
            passed.update(leaf.allowed)
            return False

        last, colon, verb = raw[-1].rpartition(":")
        if colon:
            shortened = [*raw[:-1], last]
            leaf = _descend(self._root, [decode(segment) for segment in shortened], 0, decode(verb), takes)
            if leaf is not None:
                return _found(leaf, http_verb, shortened)
        leaf = _descend(self._root, [decode(segment) for segment in raw], 0, "", takes)
        if leaf is not None:
            return _found(leaf, http_verb, raw)
        return Found(None, [], tuple(sorted(passed))) if passed else None


def _child(node: _Node[Target], segment: str) -> _Node[Target]:
    if segment == REST:
        node.rest = node.rest or _Node()
        return node.rest
    if segment == ONE:
        node.one = node.one or _Node()
        return node.one
    return node.literals.setdefault(segment, _Node())


def _descend(
    node: _Node[Target], segments: list[str], at: int, verb: str, takes: Callable[[_Leaf[Target]], bool]
) -> _Leaf[Target] | None:
    """The most specific place that the path fits and that `takes` agrees to."""
    if at == len(segments):
        leaf = node.leaves.get(verb)
        if leaf is not None and takes(leaf):
            return leaf
    else:
        segment = segments[at]
        literal = node.literals.get(segment)
        found = _descend(literal, segments, at + 1, verb, takes) if literal is not None else None
        if found is None and node.one is not None and segment:
            found = _descend(node.one, segments, at + 1, verb, takes)
        if found is not None:
            return found
    leaf = node.rest.leaves.get(verb) if node.rest is not None else None
    return leaf if leaf is not None and takes(leaf) else None


def _found(leaf: _Leaf[Target], http_verb: str, raw: list[str]) -> Found[Target]:
    route = leaf.route(http_verb)
    if route is None:
        return Found(None, [], leaf.allowed, leaf.dress(None))
    variables = [(variable, variable.read(raw)) for variable in route.template.variables]
    return Found(route.target, variables, leaf.allowed, route.dress)
