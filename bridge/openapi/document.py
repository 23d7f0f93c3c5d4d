"""Puts the document together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.catalog import Binding, Catalog, Method
from bridge.openapi import pages
from bridge.openapi.answers import ERROR_SCHEMA, answers_of, error_responses
from bridge.openapi.comments import Comments
from bridge.openapi.examples import request_example
from bridge.openapi.parameters import IDEMPOTENCY_KEY, path_of, path_parameters, query_parameters
from bridge.openapi.schemas import Schemas
from bridge.transcode import wants_json
from tollbridge.options.v1 import options_pb2

_VERBS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_INFO = {
    "title": "Tollbridge",
    "version": "1",
    "summary": "A self-hosted, multi-tenant AI API platform.",
    "description": (
        "Every call here is also a gRPC call; both are the same. Errors have OpenAI's form. Chat takes what OpenAI's "
        "clients send."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}
_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or the access token that a login answers.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key."},
}
_HEADERS = {
    "x-request-id": {
        "description": "Finds the request in the server's log.",
        "schema": {"type": "string"},
    }
}


@dataclass(frozen=True, slots=True)
class Addition:
    """Paths and tags beside those of the contract."""

    paths: dict[str, dict[str, Any]]
    tags: list[dict[str, Any]]


def build_document(catalog: Catalog, add: Callable[[Schemas], Addition] | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all bound methods, and of what `add` makes of the same components. The same catalogue
    gives the same document."""
    comments = Comments(catalog.files.file)
    schemas = Schemas(comments, catalog.pool)
    paths: dict[str, dict[str, Any]] = {}
    served = [method for method in catalog.methods if method.access is not None]
    for method in served:
        for number, binding in enumerate(method.bindings, start=1):
            _add_operation(paths, method, binding, number, schemas, comments)
    paths.update(pages.page_paths())
    added = Addition({}, []) if add is None else add(schemas)
    for path, operations in added.paths.items():
        paths.setdefault(path, {}).update(operations)
    components = {**schemas.components(), **pages.page_schemas(), "Error": ERROR_SCHEMA}
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "tags": [*_tags(served, comments), {"name": pages.TAG, "description": pages.TAG_TEXT}, *added.tags],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": error_responses(comments),
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _add_operation(
    paths: dict[str, dict[str, Any]],
    method: Method,
    binding: Binding,
    number: int,
    schemas: Schemas,
    comments: Comments,
) -> None:
    verb = binding.http_verb.lower()
    if verb not in _VERBS:
        return  # a custom verb, which OpenAPI has no place for
    path, names = path_of(binding.template)
    operation = _operation(method, binding, number, names, schemas, comments)
    paths.setdefault(path, {})[verb] = operation


def _operation(
    method: Method, binding: Binding, number: int, names: list[str], schemas: Schemas, comments: Comments
) -> dict[str, Any]:
    tag = _tag(method)
    operation: dict[str, Any] = {
        "operationId": f"{tag}_{_short_name(method)}" + (f"_{number}" if number > 1 else ""),
        "summary": comments.summary(method.full_name) or _short_name(method),
        "description": _description(method, comments),
        "tags": [tag],
        "security": [{"bearer": []}, {"apiKey": []}] if method.wants_credential else [],
    }
    parameters = path_parameters(binding, names, schemas) + query_parameters(method, binding, schemas)
    if method.idempotency == options_pb2.IDEMPOTENCY_KEYED:
        parameters.append(IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    if binding.body:
        operation["requestBody"] = _request_body(method, binding, schemas)
    operation["responses"] = answers_of(method, binding, schemas, comments.text(method.output.full_name) or "As asked.")
    return operation


def _request_body(method: Method, binding: Binding, schemas: Schemas) -> dict[str, Any]:
    if not wants_json(method, binding):
        return {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    if binding.body_field is not None:
        schema = schemas.field(binding.body_field)
    elif method.takes_http_body and method.documents is not None:
        schema = schemas.named(method.documents.request)
    elif in_path := frozenset(path for path in binding.variables if "." not in path):
        schema = schemas.object(method.input, in_path)
    else:
        schema = schemas.message(method.input)
    example = request_example(schema, schemas.components())
    return {"required": bool(example), "content": {"application/json": {"schema": schema, "example": example}}}


def _description(method: Method, comments: Comments) -> str:
    assert method.access is not None
    lines = [comments.text(method.full_name)]
    if not method.wants_credential:
        lines.append("Needs no credential.")
    elif method.access.platform:
        lines.append(f"Needs the permission `{method.access.permission}` and a platform administrator.")
    elif method.access.permission:
        lines.append(f"Needs the permission `{method.access.permission}`.")
    return "\n\n".join(line for line in lines if line)


def _tags(methods: list[Method], comments: Comments) -> list[dict[str, Any]]:
    services = {_tag(method): method.full_name.rpartition(".")[0] for method in methods if method.bindings}
    return [{"name": tag, "description": comments.text(service)} for tag, service in services.items()]


def _tag(method: Method) -> str:
    return method.full_name.split(".")[-2].removesuffix("Service")


def _short_name(method: Method) -> str:
    return method.full_name.rpartition(".")[2]
