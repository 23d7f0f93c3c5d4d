"""Every call that is served over HTTP, read from the descriptors of the services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from server.rpc.access import rule_of


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One HTTP form of one RPC."""

    verb: str
    path: str
    rpc: str
    """`package.Service.Method`."""


def endpoints_of(services: Iterable[str]) -> tuple[Endpoint, ...]:
    """The endpoints of services that are given by full name, in the order of their protos."""
    pool = descriptor_pool.Default()
    methods = [method for name in services for method in pool.FindServiceByName(name).methods]
    return tuple(endpoint for method in methods if rule_of(method) for endpoint in _endpoints(method))


def _endpoints(method: MethodDescriptor) -> Iterator[Endpoint]:
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    rule = options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        verb, path = _verb_and_path(binding)
        yield Endpoint(verb, path, method.full_name)


def _verb_and_path(rule: Any) -> tuple[str, str]:
    pattern = rule.WhichOneof("pattern")
    if pattern == "custom":
        return rule.custom.kind.upper(), rule.custom.path
    return pattern.upper(), getattr(rule, pattern)
