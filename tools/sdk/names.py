"""How packages, services and methods of the protos are called in the SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """The name "ListKeys" as "list_keys"."""
    return _WORD_START.sub("_", name).lower()


def capability(package: str) -> str:
    """The middle of "tollbridge.keys.v1". Raises ValueError for packages of another form, which have no place."""
    _, name, version = package.split(".")
    if version != "v1":
        raise ValueError(f"{package}: the SDK's modules have no version; decide what a second one is called")
    return name


@dataclass(frozen=True, slots=True)
class Service:
    """A service, its file, and what it is called."""

    file: FileDescriptorProto
    index: int
    """Its position in the file, by which its comments are found."""

    @property
    def proto(self) -> ServiceDescriptorProto:
        """Its descriptor."""
        return self.file.service[self.index]

    @property
    def full_name(self) -> str:
        """For instance "tollbridge.keys.v1.KeyService"."""
        return f"{self.file.package}.{self.proto.name}"

    @property
    def attribute(self) -> str:
        """What it is called on a client: "keys" for KeyService, also where the package has another service."""
        stem = snake(self.proto.name.removesuffix("Service"))
        package = capability(self.file.package)
        return package if package in {stem, f"{stem}s"} else f"{stem}s"

    @property
    def class_name(self) -> str:
        """For the attribute "keys": "Keys"."""
        return "".join(word.capitalize() for word in self.attribute.split("_"))

    def comment(self, method: int | None = None) -> str:
        """The text above the service, or above one of its methods, without line breaks."""
        path = [FileDescriptorProto.SERVICE_FIELD_NUMBER, self.index]
        if method is not None:
            path += [ServiceDescriptorProto.METHOD_FIELD_NUMBER, method]
        found = (place.leading_comments for place in self.file.source_code_info.location if list(place.path) == path)
        return " ".join(next(found, "").split())


def constant(service: Service, method: MethodDescriptorProto) -> str:
    """The name of a method's constant: "KEYS_CREATE_KEY"."""
    return f"{service.attribute}_{snake(method.name)}".upper()
