"""The loaded systems as routes of the bridge."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.aliases.choice import QueryChoice
from bridge.aliases.endpoint import AliasEndpoint, AliasGround
from bridge.aliases.loader import Aliases
from bridge.router import Route

__all__ = ["AliasGround", "alias_routes"]


def alias_routes(aliases: Aliases, ground: AliasGround) -> Iterator[Route[AliasEndpoint | QueryChoice]]:
    """One route for each verb and path."""
    for (http_verb, _, _), options in aliases.by_call().items():
        made = [(route, AliasEndpoint(route, system, ground), template) for system, route, template in options]
        first, endpoint, template = made[0]
        name = f"{first.origin}, {first.call}"
        if len(made) == 1 and not first.match:
            yield Route(http_verb, template, endpoint, name, endpoint.dress)
            continue
        choice = QueryChoice([(route, each) for route, each, _ in made])
        yield Route(http_verb, template, choice, name, endpoint.dress)
