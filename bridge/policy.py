"""What differs between the platform's own bridge and one before a server that knows nothing of us.

Everything else (catalogue, templates, router, transcoding, streams, limits) is the same code for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from bridge import error_body, metadata
from bridge.caller import Metadata, Refusal
from bridge.catalog import Binding, Catalog, Method
from bridge.error_body import ErrorAnswer
from bridge.errors import BridgeError
from bridge.http.fields import AnswerFields
from bridge.http.request import Request
from bridge.json_writer import JsonWriter, PrintRules
from bridge.read_rules import NARROW, ReadRules
from bridge.router import Route
from bridge.stream_form import EVENTS, RAW_EVENTS, StreamForm

Target = TypeVar("Target")


class ErrorForm(Protocol):
    """How errors look in HTTP."""

    def of_bridge_error(self, error: BridgeError, request_id: str) -> ErrorAnswer:
        """The answer of something that the bridge refused itself."""
        ...

    def of_refusal(self, refusal: Refusal, request_id: str) -> ErrorAnswer:
        """The answer of a call that the server ended with a status."""
        ...


class Crossing(Protocol):
    """What of a request's headers reaches the server, and what of a reply's metadata the client."""

    def request_metadata(self, request: Request, wants_credential: bool) -> list[tuple[str, str | bytes]]:
        """The metadata of a call. Raises `BridgeError` where a header cannot be read or a credential is missing."""
        ...

    def timeout(self, request: Request, longest: float | None) -> float | None:
        """Seconds until the deadline; `longest` is what the operator allows. Raises `BridgeError`."""
        ...

    def show_metadata(self, shown: Metadata, headers: AnswerFields) -> None:
        """Adds what clients may see."""
        ...


class _OwnCrossing:
    """The platform's own headers."""

    def request_metadata(self, request: Request, wants_credential: bool) -> list[tuple[str, str | bytes]]:
        return metadata.request_metadata(request.fields, wants_credential)

    def timeout(self, _: Request, longest: float | None) -> float | None:
        return longest

    def show_metadata(self, shown: Metadata, headers: AnswerFields) -> None:
        metadata.show_metadata(shown, headers)


def _says_access(method: Method) -> bool:
    return method.access is not None


def _method_wants_credential(method: Method) -> bool:
    return method.wants_credential


def _events_only(_: Sequence[str]) -> StreamForm:
    return EVENTS


@dataclass(frozen=True, slots=True)
class Policy:
    """The defaults are the platform's own."""

    errors: ErrorForm = error_body
    crossing: Crossing = field(default_factory=_OwnCrossing)
    reading: ReadRules = NARROW
    writer: JsonWriter = field(
        default_factory=lambda: JsonWriter(PrintRules(proto_names=True, zeros=True, long_numbers=True))
    )
    serves: Callable[[Method], bool] = _says_access
    """Which methods have routes. A method that does not say who may call it is never served by the platform."""
    wants_credential: Callable[[Method], bool] = _method_wants_credential
    """Whether a call without a credential is refused before its body is read."""
    stream_form: Callable[[Sequence[str]], StreamForm] = _events_only
    """The form of a stream, from the request's Accept headers."""
    raw_events: StreamForm = RAW_EVENTS
    """The form of a stream whose events the server writes itself."""
    own_ways: bool = True
    """The platform's own ways: its headers on every answer; a body must say that it is JSON; a request that cannot be
    read is refused only after the server had its say about the caller; a stream of HttpBody is events or collected."""
    pages_prefix: str | None = ""
    """Where the pages of health, metrics and documentation stand; None: there are none."""
    path_before_verb: bool = True
    """Whether the most specific path decides alone, so that a reserved word is never taken for an id; else the most
    specific path that is served with the request's verb."""


def service_routes(
    catalog: Catalog, policy: Policy, make_target: Callable[[Method, Binding], Target]
) -> Iterator[Route[Target]]:
    """A route for each binding that the policy serves."""
    for method in catalog.methods:
        for binding in method.bindings if policy.serves(method) else ():
            name = f"{method.full_name} of {method.file}"
            yield Route(binding.http_verb, binding.template, make_target(method, binding), name)


OWN = Policy()
"""The platform's own bridge."""
