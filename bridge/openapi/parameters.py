"""Path templates and request fields as OpenAPI's paths and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from bridge.catalog import Binding, Method, readable_from_text
from bridge.openapi.constraints import is_required
from bridge.openapi.schemas import Schemas
from bridge.path_template import ONE, REST, PathTemplate

_DEEPEST_QUERY = 3

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes the call happen once: a repeat with the same key and request answers the first result, "
    "marked by `Idempotent-Replayed: true`, for 24 hours. Printable ASCII; best a random UUID.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def path_of(template: PathTemplate) -> tuple[str, list[str]]:
    """The template as OpenAPI writes paths, and the name of each of its parameters in order.

    A parameter is named by the last part of its field's path, so that the bindings of one resource share a path. A
    variable that holds several wildcards becomes as many parameters, numbered.
    """
    names: list[str] = []
    parts: list[str] = []
    for index, segment in enumerate(template.segments):
        if segment not in (ONE, REST):
            parts.append(segment)
            continue
        name = _parameter_name(template, index)
        while name in names:
            name = f"{name}_2"
        names.append(name)
        parts.append(f"{{{name}}}")
    return "/" + "/".join(parts) + (f":{template.verb}" if template.verb else ""), names


def path_parameters(binding: Binding, names: list[str], schemas: Schemas) -> list[dict[str, Any]]:
    """One parameter for each wildcard of the path."""
    wildcards = [index for index, segment in enumerate(binding.template.segments) if segment in (ONE, REST)]
    return [_path_parameter(binding, index, name, schemas) for index, name in zip(wildcards, names, strict=True)]


def query_parameters(method: Method, binding: Binding, schemas: Schemas) -> list[dict[str, Any]]:
    """One parameter for each field that neither path nor body gives."""
    if binding.body == "*" or method.takes_http_body:
        return []
    taken = {*binding.variables, *([binding.body] if binding.body else [])}
    return [
        {
            "name": path,
            "in": "query",
            **_described(schemas.field(field)),
            **({"required": True} if "." not in path and is_required(field) else {}),
        }
        for path, field in _fields(method.input, "", 1)
        if path not in taken and not any(path.startswith(f"{other}.") for other in taken)
    ]


def _path_parameter(binding: Binding, index: int, name: str, schemas: Schemas) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for variable in binding.template.variables:
        if variable.start == index and variable.end in (index + 1, None):
            parameter.update(_described(schemas.field(binding.variables[variable.field_path][-1])))
    return parameter


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's description stands beside its schema."""
    plain = {keyword: value for keyword, value in schema.items() if keyword != "description"}
    description = schema.get("description")
    return {"description": description, "schema": plain} if description else {"schema": plain}


def _parameter_name(template: PathTemplate, index: int) -> str:
    for variable in template.variables:
        if variable.start <= index and (variable.end is None or index < variable.end):
            return variable.field_path.rpartition(".")[2]
    return "segment"


def _fields(message: Descriptor, prefix: str, depth: int) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in message.fields:
        path = f"{prefix}{field.name}"
        inside = field.message_type
        if inside is None or readable_from_text(inside):
            yield path, field
        elif not field.is_repeated and depth < _DEEPEST_QUERY and not inside.full_name.startswith("google."):
            yield from _fields(inside, f"{path}.", depth + 1)
