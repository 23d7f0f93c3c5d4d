"""The services as the committed image has them, with their comments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from google.protobuf import descriptor_pb2

import tollbridge.auth.v1.auth_service_pb2
import tollbridge.billing.v1.billing_service_pb2
import tollbridge.chat.v1.chat_service_pb2
import tollbridge.keys.v1.key_service_pb2
import tollbridge.limits.v1.limit_service_pb2
import tollbridge.models.v1.model_service_pb2
import tollbridge.models.v1.profile_service_pb2
import tollbridge.organizations.v1.organization_service_pb2
import tollbridge.plans.v1.plan_service_pb2
import tollbridge.platform.v1.platform_service_pb2
import tollbridge.usage.v1.usage_service_pb2

IMAGE: Final = Path(__file__).parent.parent.parent / "generated" / "descriptors.binpb"
_SERVICE, _METHOD, _MESSAGE, _FIELD, _NESTED = 6, 2, 4, 2, 3

MODULES: Final = (
    tollbridge.auth.v1.auth_service_pb2,
    tollbridge.billing.v1.billing_service_pb2,
    tollbridge.chat.v1.chat_service_pb2,
    tollbridge.keys.v1.key_service_pb2,
    tollbridge.limits.v1.limit_service_pb2,
    tollbridge.models.v1.model_service_pb2,
    tollbridge.models.v1.profile_service_pb2,
    tollbridge.organizations.v1.organization_service_pb2,
    tollbridge.plans.v1.plan_service_pb2,
    tollbridge.platform.v1.platform_service_pb2,
    tollbridge.usage.v1.usage_service_pb2,
)
"""Importing them puts every service into the default pool."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method of ours."""

    name: str
    """`package.Service/Method`."""
    method: descriptor_pb2.MethodDescriptorProto
    comment: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of ours."""

    name: str
    """`package.Message.field`."""
    field: descriptor_pb2.FieldDescriptorProto
    comment: str


@cache
def files() -> tuple[descriptor_pb2.FileDescriptorProto, ...]:
    """Our own files of the image."""
    image = descriptor_pb2.FileDescriptorSet.FromString(IMAGE.read_bytes())
    return tuple(file for file in image.file if file.package.startswith("tollbridge."))


def rpcs() -> Iterator[Rpc]:
    """Every RPC."""
    for file in files():
        comments = _comments(file)
        for index, service in enumerate(file.service):
            for number, method in enumerate(service.method):
                comment = comments.get((_SERVICE, index, _METHOD, number), "")
                yield Rpc(f"{file.package}.{service.name}/{method.name}", method, comment)


def fields() -> Iterator[Field]:
    """Every field of every message, nested ones included."""
    for file in files():
        comments = _comments(file)
        for index, message in enumerate(file.message_type):
            yield from _fields(file.package, message, (_MESSAGE, index), comments)


def _fields(
    prefix: str,
    message: descriptor_pb2.DescriptorProto,
    path: tuple[int, ...],
    comments: dict[tuple[int, ...], str],
) -> Iterator[Field]:
    name = f"{prefix}.{message.name}"
    for number, field in enumerate(message.field):
        yield Field(f"{name}.{field.name}", field, comments.get((*path, _FIELD, number), ""))
    for number, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _fields(name, nested, (*path, _NESTED, number), comments)


def _comments(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {tuple(row.path): row.leading_comments.strip() for row in file.source_code_info.location}
