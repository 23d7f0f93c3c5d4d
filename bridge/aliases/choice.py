"""Several routes of one path and verb, told apart by the query: `?action=subscription`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from bridge.aliases.endpoint import AliasEndpoint
from bridge.aliases.route import GIVEN, AliasRoute
from bridge.errors import CredentialMissing, InvalidRequest
from bridge.exchange import Exchange
from bridge.http.answer import Answer
from bridge.message_reader import FieldProblem
from bridge.metadata import has_credential
from bridge.parameters import split_query
from bridge.path_template import Variable


class QueryChoice:
    """Hands a request to the first route whose parameters it has; routes that ask for more come first."""

    def __init__(self, options: Sequence[tuple[AliasRoute, AliasEndpoint]]) -> None:
        self._options = sorted(options, key=lambda option: _weight(option[0]), reverse=True)
        self._wants_credential = all(endpoint.wants_credential for _, endpoint in options)

    async def __call__(self, exchange: Exchange, variables: Sequence[tuple[Variable, str]]) -> Answer:
        """Answers one request. Raises `InvalidRequest` where no route fits, and what endpoints raise."""
        try:
            given = list(split_query(exchange.query))
        except FieldProblem as problem:
            raise InvalidRequest(str(problem)) from None
        values = dict(given)
        for route, endpoint in self._options:
            if _fits(route, values):
                chosen = {name for name, value in route.match if value != GIVEN}
                exchange.query = urlencode([(name, value) for name, value in given if name not in chosen])
                return await endpoint(exchange, variables)
        if self._wants_credential and not has_credential(exchange.request.fields):
            raise CredentialMissing()
        raise self._unknown()

    def _unknown(self) -> InvalidRequest:
        name = self._options[0][0].match[0][0]
        words = sorted({value for route, _ in self._options for key, value in route.match if key == name})
        return InvalidRequest(f"{name} must be one of {', '.join(words)}.", field=name)


def _fits(route: AliasRoute, values: Mapping[str, str]) -> bool:
    return all(name in values and value in (GIVEN, values[name]) for name, value in route.match)


def _weight(route: AliasRoute) -> tuple[int, int]:
    return len(route.match), sum(value != GIVEN for _, value in route.match)
