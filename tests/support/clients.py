"""One way to call any RPC over any transport, so that a case is written once.

A request is a dict of the proto's fields; an answer is the proto's JSON (snake case, zero values shown), or a
`Failure` with the reason, whichever transport carried it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import grpc
from google.api import annotations_pb2
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2, status_pb2

_VARIABLE = re.compile(r"\{([a-z_.]+)(?:=[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Failure(Exception):
    """How a call was refused."""

    reason: str
    """As in ErrorReason, without the prefix, lower case; over REST the body's `code` decides what it was."""
    code: int
    """gRPC code or HTTP status."""
    message: str
    fields: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.reason} ({self.code}): {self.message}"


class Client(Protocol):
    """Whoever can call."""

    name: str

    async def call(self, method: str, request: Mapping[str, Any] | None = None, key: str = "") -> dict[str, Any]:
        """Calls `package.Service/Method` with a credential. Raises `Failure`."""
        ...


def method_descriptor(method: str) -> MethodDescriptor:
    """The descriptor of `package.Service/Method`."""
    service, _, name = method.partition("/")
    found: MethodDescriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return found


class GrpcClient:
    """Native gRPC."""

    name = "grpc"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def call(self, method: str, request: Mapping[str, Any] | None = None, key: str = "") -> dict[str, Any]:
        descriptor = method_descriptor(method)
        message = message_factory.GetMessageClass(descriptor.input_type)()
        json_format.ParseDict(dict(request or {}), message)
        multi: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = self._channel.unary_unary(
            f"/{method}",
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(descriptor.output_type).FromString,
        )
        metadata = (("authorization", f"Bearer {key}"),) if key else ()
        try:
            answer = await multi(message, metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            raise _grpc_failure(error) from None
        return _to_dict(answer)


class RestClient:
    """REST by the method's first HTTP binding."""

    def __init__(self, name: str, session: aiohttp.ClientSession, base_url: str) -> None:
        self.name = name
        self._session = session
        self._base_url = base_url

    async def call(self, method: str, request: Mapping[str, Any] | None = None, key: str = "") -> dict[str, Any]:
        verb, path, body = http_request(method, request or {})
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self._session.request(verb, self._base_url + path, json=body, headers=headers) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise _rest_failure(answer.status, text)
            found: dict[str, Any] = json.loads(text)
            return found


def http_request(method: str, request: Mapping[str, Any]) -> tuple[str, str, Any]:
    """Verb, path with query, and JSON body of a call, by the method's google.api.http rule."""
    rule = method_descriptor(method).GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    rest = json.loads(json.dumps(dict(request)))

    def take(match: re.Match[str]) -> str:
        owner = rest
        *parents, last = match[1].split(".")
        for name in parents:
            owner = owner[name]
        return quote(str(owner.pop(last)), safe="" if "=" not in match[0] else "/")

    path = _VARIABLE.sub(take, getattr(rule, verb))
    if rule.body == "*":
        return verb.upper(), path, rest
    body = rest.pop(rule.body) if rule.body else None
    query = urlencode([(name, value) for name, value in rest.items() if value not in (None, "")], doseq=True)
    return verb.upper(), f"{path}?{query}" if query else path, body


def _to_dict(message: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        unquote_int64_if_possible=True,
    )
    return shown


def _grpc_failure(error: grpc.aio.AioRpcError) -> Failure:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    code = int(error.code().value[0])
    if not isinstance(details, bytes):
        return Failure("", code, error.details() or "")
    reason, fields = "", ()
    for detail in status_pb2.Status.FromString(details).details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason.lower()
        elif detail.Unpack(bad):
            fields = tuple(row.field for row in bad.field_violations)
    return Failure(reason, code, error.details() or "", fields)


def _rest_failure(status: int, text: bytes) -> Failure:
    error = json.loads(text)["error"]
    assert error["request_id"], "every error names its request"
    reason, fields = "", ()
    for detail in error["details"]:
        if detail.get("@type", "").endswith("ErrorInfo"):
            reason = detail["reason"].lower()
        elif detail.get("@type", "").endswith("BadRequest"):
            fields = tuple(row["field"] for row in detail.get("field_violations", ()))
    return Failure(reason or error["code"], status, error["message"], fields)
