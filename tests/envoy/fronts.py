"""The bridge and Envoy as one client calls them, and their answers in a form that can be compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import yarl
from google.protobuf import json_format

from bridge.catalog import Catalog, Method
from bridge.json_writer import JsonWriter, PrintRules
from tests.contract.descriptors import IMAGE

CATALOG: Final = Catalog.from_generated(IMAGE.read_bytes())
METHODS: Final = {method.full_name.removeprefix("tollbridge."): method for method in CATALOG.methods}

_VOLATILE: Final = frozenset({"id", "time", "email", "secret", "masked", "previous_masked"})
_VOLATILE_ENDINGS: Final = ("_id", "_time", "_ms", "_seconds", "_token")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of one answer."""

    status: int
    content_type: str
    text: str

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Front:
    """One of the two."""

    name: str
    client: aiohttp.ClientSession
    url: str

    async def ask(self, http_verb: str, path: str, token: str = "", body: object = None) -> Answer:
        """One request, as curl would send it."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        url = yarl.URL(self.url + path, encoded=True)
        async with self.client.request(http_verb, url, headers=headers, data=data) as response:
            return Answer(response.status, response.content_type, await response.text())


@dataclass(frozen=True, slots=True)
class Fronts:
    """Both."""

    bridge: Front
    envoy: Front


def printed(method: Method, answer: Answer, *, long_numbers: bool) -> Any:
    """The answer as the message that it is, printed anew: what is not in the proto, or printed otherwise, shows."""
    message = json_format.Parse(answer.text, method.response_class())
    return JsonWriter(PrintRules(proto_names=True, zeros=True, long_numbers=long_numbers)).write(message)


def steady(value: Any) -> Any:
    """A JSON value without what differs between any two calls: ids, times, secrets."""
    if isinstance(value, list):
        return [steady(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: None if _is_volatile(name) and item else steady(item) for name, item in value.items()}


def _is_volatile(name: str) -> bool:
    return name in _VOLATILE or name.endswith(_VOLATILE_ENDINGS)
