"""The comments of a descriptor image, by the full name of what they stand above."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2

_FILE = descriptor_pb2.FileDescriptorProto
_MESSAGE = descriptor_pb2.DescriptorProto
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_LONGEST_SUMMARY = 90

# What may stand in a path of source_code_info: the field's number in its parent, and its list there.
_INSIDE: dict[type, dict[int, str]] = {
    _FILE: {4: "message_type", 5: "enum_type", 6: "service"},
    _MESSAGE: {2: "field", 3: "nested_type", 4: "enum_type"},
    descriptor_pb2.EnumDescriptorProto: {2: "value"},
    descriptor_pb2.ServiceDescriptorProto: {2: "method"},
}


class Comments:
    """Comments of all files; empty text where there is none."""

    def __init__(self, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        self._texts = {name: text for file in files for name, text in _read_file(file)}

    def text(self, full_name: str) -> str:
        """The whole comment, with the line breaks inside paragraphs taken out."""
        return self._texts.get(full_name, "")

    def summary(self, full_name: str) -> str:
        """The comment's first sentence without its full stop; of a long one what stands before the first colon."""
        first = _SENTENCE_END.split(self.text(full_name), maxsplit=1)[0].removesuffix(".")
        if len(first) <= _LONGEST_SUMMARY:
            return first
        return re.split(r"[:;(]", first, maxsplit=1)[0].strip()


def _read_file(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        if location.leading_comments:
            name = _name_at(file, list(location.path))
            if name is not None:
                yield name, _unwrap(location.leading_comments)


def _name_at(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str | None:
    names = [file.package] if file.package else []
    current: Any = file
    while path:
        list_name = _INSIDE.get(type(current), {}).get(path[0])
        if list_name is None or len(path) < 2:
            return None
        current = getattr(current, list_name)[path[1]]
        names.append(current.name)
        path = path[2:]
    return ".".join(names)


def _unwrap(comment: str) -> str:
    paragraphs = re.split(r"\n\s*\n", comment.strip())
    return "\n\n".join(" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs)
