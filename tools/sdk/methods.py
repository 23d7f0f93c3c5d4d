"""Writes `_generated/methods.py`: one constant a method, from the options beside it."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.descriptor_pb2 import MethodDescriptorProto

from tollbridge.options.v1 import options_pb2
from tools.sdk.names import Service, constant

HEADER = "# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.\n"
_IDEMPOTENCY = {
    options_pb2.IDEMPOTENCY_SAFE: "SAFE",
    options_pb2.IDEMPOTENCY_KEYED: "KEYED",
    options_pb2.IDEMPOTENCY_NONE: "NONE",
}


def idempotency(method: MethodDescriptorProto) -> str:
    """SAFE, KEYED or NONE. Raises KeyError where the method does not say."""
    return _IDEMPOTENCY[method.options.Extensions[options_pb2.idempotency]]


def methods_module(services: Sequence[Service]) -> str:
    """The module's text."""
    lines = [f'{HEADER}"""Every method that the clients call."""\n', "from typing import Final\n"]
    lines.append("from tollbridge_sdk.methods import Idempotency, Method\n")
    names = []
    for service in services:
        for method in callable_methods(service):
            names.append(constant(service, method))
            lines.append(f"{names[-1]}: Final = {_value(service, method)}")
    lines.append("\nMETHODS: Final = (")
    lines += [f"    {name}," for name in names]
    return "\n".join([*lines, ")", ""])


def callable_methods(service: Service) -> list[MethodDescriptorProto]:
    """The methods with messages of their own. Those that carry another protocol's bytes have typed ones beside them."""
    return [
        method
        for method in service.proto.method
        if not method.options.HasExtension(options_pb2.documents) and not method.client_streaming
    ]


def _value(service: Service, method: MethodDescriptorProto) -> str:
    options = method.options.Extensions
    flags = ""
    if list(options[options_pb2.access].principals) == [options_pb2.PRINCIPAL_ANYONE]:
        flags += ", anonymous=True"
    if options[options_pb2.admission] == options_pb2.ADMISSION_HANDLER:
        flags += ", runs_model=True"
    if method.server_streaming:
        flags += ", streams=True"
    return f'Method("{service.full_name}", "{method.name}", Idempotency.{idempotency(method)}{flags})'
