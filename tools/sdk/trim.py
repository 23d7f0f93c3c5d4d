"""Takes out of the protos what only the server and the bridge read; the SDK's messages depend on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

WELL_KNOWN: Final = "google.protobuf"
_ERRORS: Final = "tollbridge.errors.v1"
"""Named by failed calls instead of by a method."""
_MESSAGE_TYPE: Final = FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER


def public_packages(files: Sequence[FileDescriptorProto]) -> frozenset[str]:
    """The packages that callers meet: those with services, whatever their messages are made of, and the errors.

    Options, page tokens and what bridges tell servers are in none of them.
    """
    by_package: dict[str, list[FileDescriptorProto]] = {}
    for file in files:
        by_package.setdefault(file.package, []).append(file)
    found = {file.package for file in files if file.service and file.package.startswith("tollbridge.")} | {_ERRORS}
    waiting = list(found - {_ERRORS})
    while waiting:
        package = waiting.pop()
        used = {_package_of(field) for file in by_package[package] for row in file.message_type for field in row.field}
        new = {name for name in used if name.startswith("tollbridge.")} - found
        found |= new
        waiting += new
    return frozenset(found)


def trimmed(files: Sequence[FileDescriptorProto]) -> list[FileDescriptorProto]:
    """The public files as copies without options, services and extensions, and the well-known types that they import.

    A message that needs anything else goes too: it describes an option. Comments keep their places.
    """
    public = public_packages(files)
    names = {file.name for file in files if file.package in public}
    names |= {file.name for file in files if file.package == WELL_KNOWN and "descriptor" not in file.name}
    kept = [_without_extras(file, names, public | {WELL_KNOWN, ""}) for file in files if file.package in public]
    imported = {name for file in kept for name in file.dependency}
    return [file for file in files if file.package == WELL_KNOWN and file.name in imported] + kept


def _without_extras(original: FileDescriptorProto, names: set[str], packages: frozenset[str]) -> FileDescriptorProto:
    file = FileDescriptorProto()
    file.CopyFrom(original)
    file.ClearField("service")
    file.ClearField("extension")
    file.ClearField("options")
    for position in reversed(range(len(file.message_type))):
        _clear_options(file.message_type[position])
        if not all(_package_of(field) in packages for field in file.message_type[position].field):
            _remove_message(file, position)
    for enum in file.enum_type:
        for value in enum.value:
            value.ClearField("options")
    needed = [name for name in file.dependency if name in names]
    del file.dependency[:]
    file.dependency.extend(needed)
    return file


def _clear_options(message: DescriptorProto) -> None:
    is_map_entry = message.options.map_entry
    message.ClearField("options")
    if is_map_entry:
        message.options.map_entry = True
    for field in message.field:
        field.ClearField("options")
    for nested in message.nested_type:
        _clear_options(nested)


def _package_of(field: FieldDescriptorProto) -> str:
    """The package of a field's type; empty for numbers and texts. Packages are in lower case, messages are not."""
    parts = field.type_name.lstrip(".").split(".")
    return ".".join(part for part in parts if part[:1].islower())


def _remove_message(file: FileDescriptorProto, position: int) -> None:
    """Removes a message, and moves the comments of those behind it to their new places."""
    del file.message_type[position]
    locations = [place for place in file.source_code_info.location if list(place.path[:2]) != [_MESSAGE_TYPE, position]]
    for place in locations:
        if len(place.path) > 1 and place.path[0] == _MESSAGE_TYPE and place.path[1] > position:
            place.path[1] -= 1
    kept = [type(place).FromString(place.SerializeToString()) for place in locations]
    del file.source_code_info.location[:]
    file.source_code_info.location.extend(kept)
