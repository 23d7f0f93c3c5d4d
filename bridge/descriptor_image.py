"""Reads descriptor images, as `buf build -o` and `protoc --include_imports --descriptor_set_out` write them."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError


class CatalogError(ValueError):
    """The descriptors cannot be served as they are; the text names the proto file, the method and what is wrong."""


def read_image(image: bytes) -> FileDescriptorSet:
    """The files of an image, each after those that it imports.

    Raises `CatalogError` for what is no FileDescriptorSet, lacks an import or has two files of one name.
    """
    try:
        files = FileDescriptorSet.FromString(image)
    except DecodeError:
        raise CatalogError(_NOT_AN_IMAGE) from None
    if not files.file or any(not file.name for file in files.file):
        raise CatalogError(_NOT_AN_IMAGE)
    return FileDescriptorSet(file=_in_order(_by_name(files)))


_NOT_AN_IMAGE = (
    "this is no FileDescriptorSet. Make one with 'buf build -o image.binpb' or "
    "'protoc --include_imports --descriptor_set_out=image.binpb'."
)


def _by_name(files: FileDescriptorSet) -> dict[str, FileDescriptorProto]:
    named: dict[str, FileDescriptorProto] = {}
    for file in files.file:
        if named.setdefault(file.name, file) != file:
            raise CatalogError(f"{file.name} is there twice, with different content.")
    return named


def _in_order(named: dict[str, FileDescriptorProto]) -> list[FileDescriptorProto]:
    ordered: dict[str, FileDescriptorProto] = {}
    for name, file in named.items():
        waiting = [(name, iter(file.dependency))]
        entered = {name}
        while waiting:
            current, imports = waiting[-1]
            wanted = next((each for each in imports if each not in ordered), None)
            if wanted is None:
                ordered.setdefault(current, named[current])
                waiting.pop()
            elif wanted not in named:
                raise CatalogError(
                    f"{current} imports {wanted}, which is not in the image. "
                    "Build it with its imports (buf does; protoc needs --include_imports)."
                )
            elif wanted in entered:
                raise CatalogError(f"{current} imports {wanted}, which imports {current} again.")
            else:
                entered.add(wanted)
                waiting.append((wanted, iter(named[wanted].dependency)))
    return list(ordered.values())
