"""Writes the services of both clients: a class a service, a method an RPC, and an iterator beside each paged list."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto

from tools.sdk.methods import HEADER, callable_methods, idempotency
from tools.sdk.names import Service, capability, constant, snake
from tools.sdk.paging import Messages, Pages, may_be_left_out, pages_of

WIDTH = 110


@dataclass(frozen=True, slots=True)
class Flavour:
    """What differs between the two clients."""

    folder: str
    prefix: str
    unary: str
    stream: str
    iterator: str
    options: str
    keyed_options: str
    imports: str
    """Whatever a service may need; what it does not need is taken out again."""

    @property
    def is_async(self) -> bool:
        """Whether the messages are betterproto2's."""
        return self.folder == "aio"


AIO = Flavour(
    folder="aio",
    prefix="Async",
    unary="UnaryCall[{}]",
    stream="StreamCall[{}]",
    iterator="AsyncIterator",
    options="CallOptions",
    keyed_options="KeyedCallOptions",
    imports="""
from collections.abc import AsyncIterator
from typing import Unpack
from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncCalls, AsyncService, StreamCall, UnaryCall, rows_of
from tollbridge_sdk.options import CallOptions, KeyedCallOptions
""",
)
SYNC = Flavour(
    folder="sync",
    prefix="",
    unary="{}",
    stream="Stream[{}]",
    iterator="Iterator",
    options="UnaryOptions",
    keyed_options="KeyedUnaryOptions",
    imports="""
from collections.abc import Iterator
from typing import Any, Unpack
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, Stream, UnaryOptions, rows_of
from tollbridge_sdk.options import CallOptions, KeyedCallOptions
""",
)


class ServiceWriter:
    """Writes one service for one of the clients."""

    def __init__(self, flavour: Flavour, service: Service, messages: Messages, files: Mapping[str, str]) -> None:
        """`files` says for each message's full name which proto file it is in."""
        self.flavour = flavour
        self.service = service
        self.messages = messages
        self.files = files
        self.imports: set[str] = set()

    def module(self) -> str:
        """The module's text."""
        body = [text for method in callable_methods(self.service) for text in self._members(method)]
        base = f"{self.flavour.prefix}Service"
        head = [f"class {self.flavour.prefix}{self.service.class_name}({base}):", _docstring(self.service.comment(), 4)]
        if not self.flavour.is_async:
            head += ["", *self._stub()]
        imports = [self.flavour.imports, *sorted(self.imports)]
        return "\n".join([HEADER, *imports, "", "", *head, *body, ""])

    def _stub(self) -> list[str]:
        module = _pb2(self.service.file.name) + "_grpc"
        self.imports.add(f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}")
        stub = f"{module.rpartition('.')[2]}.{self.service.proto.name}Stub"
        return [
            "    def __init__(self, calls: Calls) -> None:",
            "        super().__init__(calls)",
            f"        self._stub: Any = {stub}(calls.channel)",
        ]

    def _members(self, method: MethodDescriptorProto) -> list[str]:
        pages = pages_of(method, self.messages)
        return [self._method(method), *([self._pages(method, pages)] if pages else [])]

    def _method(self, method: MethodDescriptorProto) -> str:
        flavour, streams = self.flavour, method.server_streaming
        request, answer = self._type(method.input_type), self._type(method.output_type)
        result = (flavour.stream if streams else flavour.unary).format(answer)
        options = self._options(method)
        invoke = "" if flavour.is_async else f"self._stub.{method.name}, "
        call = f"self._calls.{'stream' if streams else 'unary'}"
        comment = self.service.comment(list(self.service.proto.method).index(method))
        value, annotation = self._request(method, request)
        signature = f"{snake(method.name)}(self, request: {annotation}, **options: Unpack[{options}]) -> {result}"
        arguments = f"{invoke}methods.{constant(self.service, method)}, {value}, {answer}, options"
        return _function(signature, comment, f"{call}({arguments})")

    def _pages(self, method: MethodDescriptorProto, pages: Pages) -> str:
        row, request = self._type(pages.row), self._type(method.input_type)
        name = snake(method.name)
        value, annotation = self._request(method, request)
        options = self._options(method)
        result = f"{self.flavour.iterator}[{row}]"
        signature = f"{_name_of_all(name)}(self, request: {annotation}, **options: Unpack[{options}]) -> {result}"
        comment = f"Every row of `{name}` from the request's page on; pages are read as they are needed."
        read, rows = f"lambda page: self.{name}(page, **options)", f"lambda page: page.{pages.field}"
        return _function(signature, comment, f"rows_of({read}, {value}, {rows})")

    def _request(self, method: MethodDescriptorProto, request: str) -> tuple[str, str]:
        if may_be_left_out(self.messages[method.input_type]):
            return f"{request}() if request is None else request", f"{request} | None = None"
        return "request", request

    def _options(self, method: MethodDescriptorProto) -> str:
        keyed = idempotency(method) == "KEYED"
        if method.server_streaming:
            return "KeyedCallOptions" if keyed else "CallOptions"
        return self.flavour.keyed_options if keyed else self.flavour.options

    def _type(self, full_name: str) -> str:
        """A message's class as the module names it; its import is remembered."""
        package, _, name = full_name.lstrip(".").rpartition(".")
        if self.flavour.is_async:
            self.imports.add(f"from tollbridge_sdk.messages import {capability(package)}")
            return f"{capability(package)}.{name}"
        folder, _, module = _pb2(self.files[full_name]).rpartition(".")
        self.imports.add(f"from {folder} import {module}")
        return f"{module}.{name}"


def index_module(flavour: Flavour, services: Sequence[Service]) -> str:
    """The folder's `__init__`: one class with every service as an attribute."""
    prefix = flavour.prefix
    folder = f"tollbridge_sdk._generated.{flavour.folder}"
    lines = [HEADER, flavour.imports]
    lines += [f"from {folder}.{service.attribute} import {prefix}{service.class_name}" for service in services]
    lines += [f"class {prefix}Services:", _docstring("Every service of the server, by its name.", 4), ""]
    lines += [f"    def __init__(self, calls: {prefix}Calls) -> None:"]
    for service in services:
        lines.append(f"        self.{service.attribute} = {prefix}{service.class_name}(calls)")
        lines.append(_docstring(service.comment(), 8))
    return "\n".join([*lines, ""])


def _name_of_all(name: str) -> str:
    """What the iterator over all pages of a method is called: "list_all_keys" for "list_keys"."""
    return name.replace("list_", "list_all_", 1) if name.startswith("list_") else f"{name}_all"


def _pb2(file: str) -> str:
    """The module of a proto file."""
    return file.removesuffix(".proto").replace("/", ".") + "_pb2"


def _function(signature: str, comment: str, result: str) -> str:
    return f"\n    def {signature}:\n{_docstring(comment, 8)}\n        return {result}"


def _docstring(text: str, indent: int) -> str:
    escaped = text.replace("\\", "\\\\").replace('"""', "'''")
    closing = escaped + ('"""' if not escaped.endswith('"') else ' """')
    return textwrap.fill(
        f'"""{closing}', WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent, break_long_words=False
    )


def messages_by_name(files: Sequence[FileDescriptorProto]) -> tuple[Messages, Mapping[str, str]]:
    """Every top-level message by its full name, and the file that it is in."""
    found = {f".{file.package}.{message.name}": (message, file.name) for file in files for message in file.message_type}
    return {name: pair[0] for name, pair in found.items()}, {name: pair[1] for name, pair in found.items()}
