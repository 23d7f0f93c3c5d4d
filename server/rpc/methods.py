"""The methods that are served: descriptors on one side, servicers on the other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from server.rpc.access import AccessRule, rule_of
from server.rpc.context import CallContext
from tollbridge.options.v1 import options_pb2

UnaryHandler = Callable[[Any, CallContext], Awaitable[Message]]
StreamHandler = Callable[[Any, CallContext], AsyncIterator[Message]]

_ADMITTED_ELSEWHERE: Final = (options_pb2.ADMISSION_HANDLER, options_pb2.ADMISSION_NONE)
_RAW_BODY: Final = "google.api.HttpBody"
_WORD: Final = re.compile(r"(?<!^)(?=[A-Z])")


class ServicerMismatchError(Exception):
    """A servicer and its service in the protos do not fit together; found at start."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method that is served."""

    path: str
    """`/package.Service/Method`."""
    request_class: type[Message]
    reply_class: type[Message]
    rule: AccessRule
    unary: UnaryHandler | None
    """Set for methods that answer once."""
    stream: StreamHandler | None
    """Set for methods that answer with a stream."""
    validated: bool
    """Whether its request has rules to hold; raw bodies have none."""
    changes: bool
    """Whether a success may leave cached entries stale, here and in other processes."""
    keyed: bool
    """Whether an Idempotency-Key makes it happen once."""
    metered: bool
    """Whether it admits and charges itself, and so acts beyond our database."""
    counted: bool
    """Whether the pipeline counts its calls: neither its handler does nor nobody."""


def method_table(servicers: Iterable[object]) -> Mapping[str, Method]:
    """The servicers' methods by path. Methods without an access option are left out: they are never served.

    A servicer names its service in `NAME` and has a method for each RPC, in snake case. Raises
    `ServicerMismatchError` where one is missing or the service is unknown.
    """
    table: dict[str, Method] = {}
    for servicer in servicers:
        for descriptor in _service(servicer).methods:
            method = _method(servicer, descriptor)
            if method is not None:
                table[method.path] = method
    return table


def path_of(descriptor: MethodDescriptor) -> str:
    """`/package.Service/Method`."""
    return f"/{descriptor.containing_service.full_name}/{descriptor.name}"


def _service(servicer: object) -> ServiceDescriptor:
    name = getattr(servicer, "NAME", None)
    try:
        return descriptor_pool.Default().FindServiceByName(cast(str, name))
    except (KeyError, TypeError) as error:
        raise ServicerMismatchError(f"{type(servicer).__name__}.NAME is no known service: {name!r}") from error


def _method(servicer: object, descriptor: MethodDescriptor) -> Method | None:
    rule = rule_of(descriptor)
    if rule is None:
        return None
    name = _WORD.sub("_", descriptor.name).lower()
    handler = getattr(servicer, name, None)
    if handler is None:
        raise ServicerMismatchError(f"{type(servicer).__name__} has no {name} for {descriptor.full_name}")
    options = descriptor.GetOptions()
    return Method(
        path=path_of(descriptor),
        request_class=message_factory.GetMessageClass(descriptor.input_type),
        reply_class=message_factory.GetMessageClass(descriptor.output_type),
        rule=rule,
        unary=None if descriptor.server_streaming else handler,
        stream=handler if descriptor.server_streaming else None,
        validated=descriptor.input_type.full_name != _RAW_BODY,
        changes=bool(options.Extensions[options_pb2.audit]),
        keyed=options.Extensions[options_pb2.idempotency] == options_pb2.IDEMPOTENCY_KEYED,
        metered=options.Extensions[options_pb2.admission] == options_pb2.ADMISSION_HANDLER,
        counted=options.Extensions[options_pb2.admission] not in _ADMITTED_ELSEWHERE,
    )
