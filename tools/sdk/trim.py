"""Takes out of the protos what only the server and the bridge read; the SDK's messages depend on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

ROOT: Final = "tollbridge."
WELL_KNOWN: Final = "google.protobuf."
_INTERNAL: Final = ("tollbridge.options.", "tollbridge.paging.")
_MESSAGE_TYPE: Final = FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER


def is_public(package: str) -> bool:
    """Whether callers meet a package's messages: options and page tokens are the server's own."""
    return package.startswith(ROOT) and not f"{package}.".startswith(_INTERNAL)


def trimmed(files: Sequence[FileDescriptorProto]) -> list[FileDescriptorProto]:
    """The public files as copies without options, services and extensions, and the well-known types that they import.

    A message that needs anything else goes too: it describes an option. Comments keep their places.
    """
    kept = [_without_extras(file) for file in files if is_public(file.package)]
    imported = {name for file in kept for name in file.dependency}
    return [file for file in files if f"{file.package}." == WELL_KNOWN and file.name in imported] + kept


def _without_extras(original: FileDescriptorProto) -> FileDescriptorProto:
    file = FileDescriptorProto()
    file.CopyFrom(original)
    file.ClearField("service")
    file.ClearField("extension")
    file.ClearField("options")
    for position in reversed(range(len(file.message_type))):
        _clear_options(file.message_type[position])
        if not all(_is_known(field) for field in file.message_type[position].field):
            _remove_message(file, position)
    for enum in file.enum_type:
        for value in enum.value:
            value.ClearField("options")
    needed = [name for name in file.dependency if name.startswith(("google/protobuf/", "tollbridge/"))]
    del file.dependency[:]
    file.dependency.extend(
        name for name in needed if not name.startswith(("tollbridge/options/", "google/protobuf/descriptor"))
    )
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


def _is_known(field: FieldDescriptorProto) -> bool:
    return not field.type_name or field.type_name.startswith((f".{ROOT}", f".{WELL_KNOWN}"))


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
