"""Serves one alias: the endpoint of every binding, with names, words and forms of another system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import orjson
from google.protobuf.message import Message

from bridge.aliases.chat_reply import DecoratingCaller
from bridge.aliases.dress import ErrorDress, Now, wrap
from bridge.aliases.pair_crossing import PairCrossing
from bridge.aliases.route import AliasRoute, System
from bridge.caller import Caller
from bridge.endpoint import Endpoint
from bridge.errors import InvalidRequest
from bridge.event_stream import EventStream
from bridge.exchange import Exchange
from bridge.http.answer import Answer
from bridge.json_guard import JsonError, read_json
from bridge.message_reader import FieldProblem, read_message
from bridge.parameters import read_query, split_query
from bridge.path_template import Variable
from bridge.policy import OWN
from bridge.settings import BridgeSettings
from bridge.transcode import set_variable


@dataclass(frozen=True, slots=True)
class AliasGround:
    """What every alias endpoint stands on."""

    caller: Caller
    settings: BridgeSettings
    live: set[EventStream]
    now: Now


class AliasEndpoint(Endpoint):
    """One route of one system."""

    def __init__(self, route: AliasRoute, system: System, ground: AliasGround) -> None:
        caller = DecoratingCaller(ground.caller, route.chat) if route.chat is not None else ground.caller
        method = replace(route.method, http_success=route.status)
        policy = OWN if system.credential is None else replace(OWN, crossing=PairCrossing(system.credential))
        super().__init__(method, route.binding, caller, ground.settings, ground.live, policy)
        self._route = route
        self._envelope = system.envelope if route.enveloped else None
        self._names = route.rules.documented_names
        self._now = ground.now
        self.dress = ErrorDress(self._envelope, self._names, ground.now)
        # A text for the whole conversation may be long; what edits it is off the loop as reading a long body is.
        self._reads_body = True

    @property
    def wants_credential(self) -> bool:
        """Whether a call without a credential is refused."""
        return self._wants_credential

    async def __call__(self, exchange: Exchange, variables: Sequence[tuple[Variable, str]]) -> Answer:
        """Answers one request. Raises `BridgeError`, or `Refusal` before anything was sent."""
        exchange.dress = self.dress
        return await super().__call__(exchange, variables)

    def _to_message(
        self, variables: Sequence[tuple[Variable, str]], query: str, body: bytes, content_type: str
    ) -> Message:
        try:
            if self.method.takes_http_body:
                edited = self._route.rules.members_of_body(body)
                return super()._to_message(variables, query, edited, content_type)
            return self._read(variables, query, body)
        except FieldProblem as problem:
            name = self._names.get(problem.field, problem.field)
            raise InvalidRequest(str(FieldProblem(name, problem.description)), field=name) from None
        except JsonError as error:
            raise InvalidRequest(str(error)) from None

    def _read(self, variables: Sequence[tuple[Variable, str]], query: str, body: bytes) -> Message:
        message, rules = self.method.request_class(), self._route.rules
        given = list(split_query(query))
        if self.binding.body:
            value = read_json(body) if body else {}
            if not isinstance(value, dict):
                raise FieldProblem("", "must be a JSON object")
            known = {rename.name for rename in rules.query}
            for name, _ in given:
                if name not in known:
                    raise FieldProblem(name[:100], "belongs in the body, not in the query")
            read_message(message, rules.fields_of_body(value))
            parameters = rules.parameters(given)
        else:
            parameters = rules.completed_parameters(rules.parameters(given))
        for variable, text in variables:
            set_variable(message, self.binding.variables[variable.field_path], text, variable.field_path)
        read_query(message, urlencode(parameters), {variable.field_path for variable, _ in variables})
        return message

    def _json(self, message: Message) -> bytes:
        value: Any = self._policy.writer.write(message)
        if self._route.answer is not None:
            value = self._route.answer.render(value)
        if self._envelope is not None:
            value = wrap(self._envelope, value, self._route.message, self._now)
        return orjson.dumps(value)
