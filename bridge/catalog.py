"""The methods that the bridge knows, read from descriptors with their bindings and options.

A catalogue has one of two sources: our own generated modules, whose message classes are the ones that the server in
this process uses, or any descriptor image, in a pool of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2, http_pb2, httpbody_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from bridge.descriptor_image import CatalogError, read_image
from bridge.path_template import PathTemplate, TemplateError, parse_template
from tollbridge.options.v1 import options_pb2

HTTP_BODY: str = httpbody_pb2.HttpBody.DESCRIPTOR.full_name


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP form of a method, from google.api.http."""

    http_verb: str
    template: PathTemplate
    variables: dict[str, tuple[FieldDescriptor, ...]]
    """Each path variable's way through the request: fields from the outermost inwards."""
    body: str
    """"" for none, "*" for the whole request, else the name of one of its fields."""
    body_field: FieldDescriptor | None
    response_field: FieldDescriptor | None
    """The field of the answer that is the HTTP body; None for the whole answer."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC with everything that its descriptor says."""

    full_name: str
    """As `package.Service.Method`."""
    file: str
    """The proto file that has its service."""
    rpc_path: str
    """As `/package.Service/Method`."""
    input: Descriptor
    output: Descriptor
    request_class: type[Message]
    response_class: type[Message]
    server_streaming: bool
    client_streaming: bool
    """No HTTP request can be one; a method of the platform that has a rule nevertheless stops the start."""
    bindings: tuple[Binding, ...]
    access: options_pb2.Access | None
    """None: never served."""
    idempotency: options_pb2.Idempotency.ValueType
    admission: options_pb2.Admission.ValueType
    http_success: int
    documents: options_pb2.Documents | None

    @property
    def service(self) -> str:
        """The full name of its service."""
        return self.full_name.rpartition(".")[0]

    @property
    def wants_credential(self) -> bool:
        """Whether a call without a credential is refused before its body is read."""
        return self.access is None or options_pb2.PRINCIPAL_ANYONE not in self.access.principals

    @property
    def takes_http_body(self) -> bool:
        """Whether the request is google.api.HttpBody: the body's bytes as they came."""
        return self.input.full_name == HTTP_BODY

    @property
    def returns_http_body(self) -> bool:
        """Whether the answer is google.api.HttpBody."""
        return self.output.full_name == HTTP_BODY


@dataclass(frozen=True, slots=True)
class Catalog:
    """All methods of a descriptor image, in the image's order."""

    methods: tuple[Method, ...]
    pool: descriptor_pool.DescriptorPool
    files: descriptor_pb2.FileDescriptorSet

    @classmethod
    def from_generated(cls, image: bytes) -> Catalog:
        """Reads our own services: `image` names the files, their generated modules give the message classes.

        Raises `CatalogError`.
        """
        files = descriptor_pb2.FileDescriptorSet.FromString(image)
        for file in files.file:
            if file.service:
                importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        pool = descriptor_pool.Default()
        return cls(tuple(_read_methods(files, pool)), pool, files)

    @classmethod
    def from_image(cls, image: bytes, *, foreign: bool = False) -> Catalog:
        """Reads the services of any self-contained image, in a pool of its own. Raises `CatalogError`.

        `foreign`: the protos are not ours, so what other gateways serve is taken too: a body with GET, and a repeated
        scalar field in a path (values separated by commas); a client stream is kept, for whoever explains it.
        """
        files = read_image(image)
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            try:
                pool.Add(file)
            except TypeError as error:
                raise CatalogError(f"{file.name} cannot be loaded: {' '.join(str(error).split())}") from None
        return cls(tuple(_read_methods(files, pool, foreign)), pool, files)


def _read_methods(
    files: descriptor_pb2.FileDescriptorSet, pool: descriptor_pool.DescriptorPool, foreign: bool = False
) -> Iterator[Method]:
    for file in files.file:
        for service in file.service:
            descriptor = pool.FindServiceByName(f"{file.package}.{service.name}".lstrip("."))
            for method in service.method:
                # Options are read from the image and not from the pool: there our extensions have Python classes,
                # whichever pool the service lives in.
                try:
                    yield _read_method(descriptor.methods_by_name[method.name], method.options, foreign)
                except CatalogError as error:
                    raise CatalogError(f"{file.name}: {error}") from None


def _read_method(descriptor: MethodDescriptor, options: descriptor_pb2.MethodOptions, foreign: bool) -> Method:
    service = descriptor.containing_service
    return Method(
        full_name=descriptor.full_name,
        file=service.file.name,
        rpc_path=f"/{service.full_name}/{descriptor.name}",
        input=descriptor.input_type,
        output=descriptor.output_type,
        request_class=message_factory.GetMessageClass(descriptor.input_type),
        response_class=message_factory.GetMessageClass(descriptor.output_type),
        server_streaming=descriptor.server_streaming,
        client_streaming=descriptor.client_streaming,
        bindings=tuple(_read_bindings(descriptor, options, foreign)),
        access=_extension(options, options_pb2.access),
        idempotency=options.Extensions[options_pb2.idempotency],
        admission=options.Extensions[options_pb2.admission],
        http_success=options.Extensions[options_pb2.http_success] or 200,
        documents=_extension(options, options_pb2.documents),
    )


def _extension(options: descriptor_pb2.MethodOptions, extension: Any) -> Any:
    return options.Extensions[extension] if options.HasExtension(extension) else None


def _read_bindings(
    descriptor: MethodDescriptor, options: descriptor_pb2.MethodOptions, foreign: bool
) -> Iterator[Binding]:
    if not options.HasExtension(annotations_pb2.http):
        return
    if descriptor.client_streaming and not foreign:
        raise CatalogError(f"{descriptor.full_name}: a client-streaming method cannot have an HTTP binding.")
    rule = options.Extensions[annotations_pb2.http]
    yield read_binding(descriptor, rule, foreign)
    for additional in rule.additional_bindings:
        if additional.additional_bindings:
            raise CatalogError(f"{descriptor.full_name}: additional_bindings do not nest.")
        yield read_binding(descriptor, additional, foreign)


def read_binding(descriptor: MethodDescriptor, rule: http_pb2.HttpRule, foreign: bool = False) -> Binding:
    """One HTTP form of a method, from a rule. Raises `CatalogError`."""
    http_verb, path = _verb_and_path(descriptor, rule)
    try:
        template = parse_template(path)
    except TemplateError as error:
        raise CatalogError(f"{descriptor.full_name}: {error}") from None
    if rule.body and not foreign and http_verb in ("GET", "HEAD"):
        raise CatalogError(f"{descriptor.full_name}: a {http_verb} binding cannot have a body.")
    variables = {
        variable.field_path: _resolve_variable(descriptor, template, variable.field_path, foreign)
        for variable in template.variables
    }
    where = f"{descriptor.full_name}: {http_verb} {path!r}: "
    whole = rule.body in ("", "*")
    return Binding(
        http_verb=http_verb,
        template=template,
        variables=variables,
        body=rule.body,
        body_field=None if whole else _own_field(descriptor.input_type, rule.body, f"{where}body"),
        response_field=_own_field(descriptor.output_type, rule.response_body, f"{where}response_body")
        if rule.response_body
        else None,
    )


def _verb_and_path(descriptor: MethodDescriptor, rule: http_pb2.HttpRule) -> tuple[str, str]:
    pattern = rule.WhichOneof("pattern")
    if pattern is None:
        raise CatalogError(f"{descriptor.full_name}: its HTTP rule has no path.")
    if pattern == "custom":
        return rule.custom.kind.upper(), rule.custom.path
    return pattern.upper(), str(getattr(rule, pattern))


def _own_field(message: Descriptor, name: str, place: str) -> FieldDescriptor:
    found = message.fields_by_name.get(name)
    if found is None:
        raise CatalogError(f"{place} names {name!r}, which {message.full_name} does not have.")
    return found


def _resolve_variable(
    descriptor: MethodDescriptor, template: PathTemplate, field_path: str, foreign: bool
) -> tuple[FieldDescriptor, ...]:
    where = f"{descriptor.full_name}: path {template.text!r}"
    fields: list[FieldDescriptor] = []
    message: Descriptor | None = descriptor.input_type
    for name in field_path.split("."):
        if message is None:
            raise CatalogError(f"{where}: {fields[-1].name!r} in {field_path!r} is not a message.")
        found = message.fields_by_name.get(name)
        if found is None:
            raise CatalogError(f"{where} names {field_path!r}, but {message.full_name} has no field {name!r}.")
        if found.is_repeated and not (foreign and _is_last_scalar(found, field_path)):
            raise CatalogError(f"{where}: {field_path!r} goes through the repeated field {name!r}.")
        fields.append(found)
        message = found.message_type
    if message is not None and not readable_from_text(message):
        raise CatalogError(f"{where}: {field_path!r} is a message, which a path cannot carry.")
    return tuple(fields)


def _is_last_scalar(field: FieldDescriptor, field_path: str) -> bool:
    return field.message_type is None and field_path.rpartition(".")[2] == field.name


_TEXT_MESSAGES = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Timestamp", "Duration", "FieldMask", "DoubleValue", "FloatValue", "Int64Value", "UInt64Value"),
        *("Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue"),
    )
)


def readable_from_text(message: Descriptor) -> bool:
    """Whether a message's JSON form is a single text or number, so that a path or query can carry it."""
    return message.full_name in _TEXT_MESSAGES
