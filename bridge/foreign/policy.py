"""Puts the manners of a bridge before a foreign server together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf import descriptor_pool
from google.rpc import error_details_pb2

from bridge.catalog import Catalog, Method
from bridge.descriptor_image import CatalogError
from bridge.foreign.crossing import ForeignCrossing
from bridge.foreign.status_body import StatusBodies
from bridge.foreign.stream_forms import RAW_EVENTS, choose_form
from bridge.json_writer import JsonWriter, PrintRules
from bridge.policy import Policy, service_routes
from bridge.read_rules import ReadRules
from bridge.router import Router


@dataclass(frozen=True, slots=True)
class ForeignOptions:
    """What the operator can choose; the defaults are proto3's canonical JSON, and no credential."""

    auth: bool = False
    """A request without Authorization and x-api-key is refused (401) before its body is read."""
    ignore_unknown: bool = False
    """Unknown fields of a body and unknown query parameters are passed over instead of refused."""
    printing: PrintRules = field(default_factory=PrintRules)
    pages_prefix: str | None = None
    """Where `/health`, `/health/ready` and `/metrics` stand; None: nowhere."""
    services: frozenset[str] = frozenset()
    """Full names of the services to serve; empty: all with rules."""


def foreign_policy(catalog: Catalog, options: ForeignOptions) -> Policy:
    """The policy of a bridge for the catalogue's services.

    Raises `CatalogError` where nothing would be served, and `RouteConflict` for two rules of one path.
    """
    _check_services(catalog, options.services)
    # The default pool has the details of errors, which a server can send without importing them in its protos.
    known = descriptor_pool.Default()
    known.FindFileByName(error_details_pb2.DESCRIPTOR.name)
    writer = JsonWriter(options.printing, (catalog.pool, known))
    policy = Policy(
        errors=StatusBodies(JsonWriter(PrintRules(), (catalog.pool, known))),
        crossing=ForeignCrossing(),
        reading=ReadRules(canonical=True, ignore_unknown=options.ignore_unknown, path_wins=True),
        writer=writer,
        serves=lambda method: not options.services or method.service in options.services,
        wants_credential=lambda _: options.auth,
        stream_form=choose_form,
        raw_events=RAW_EVENTS,
        own_ways=False,
        pages_prefix=options.pages_prefix,
        path_before_verb=False,
    )
    Router(service_routes(catalog, policy, lambda method, _: method))
    return policy


def unserved_methods(catalog: Catalog, policy: Policy) -> Iterator[str]:
    """A sentence for each method that has a rule and yet cannot be served over HTTP."""
    for method in catalog.methods:
        if method.client_streaming and method.bindings and policy.serves(method):
            yield f"{method.full_name} takes a stream of requests: its HTTP rule answers 501."


def _check_services(catalog: Catalog, wanted: frozenset[str]) -> None:
    with_rules = {method.service for method in catalog.methods if method.bindings}
    if not with_rules:
        raise CatalogError(
            f"{_count(catalog.methods)} and no google.api.http rule on any of them, so there is no path to serve."
        )
    unknown = sorted(wanted - with_rules)
    if unknown:
        raise CatalogError(
            f"{', '.join(unknown)}: no service of this name has google.api.http rules; "
            f"those that have: {', '.join(sorted(with_rules))}."
        )


def _count(methods: tuple[Method, ...]) -> str:
    return f"{len(methods)} methods" if len(methods) != 1 else "1 method"
