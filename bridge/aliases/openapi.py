"""The loaded systems in the OpenAPI document: each under a tag of its own, in the forms that its clients know."""

from __future__ import annotations

from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor

from bridge.aliases.formats import FORMATS, IN_FORMATS
from bridge.aliases.loader import Aliases
from bridge.aliases.route import GIVEN, AliasRoute, Envelope, System
from bridge.aliases.template import Constant, Each, Shape, Taken, Template
from bridge.catalog import Catalog
from bridge.openapi.answers import answers_of
from bridge.openapi.document import Addition, build_document
from bridge.openapi.parameters import path_of, path_parameters, query_parameters
from bridge.openapi.schemas import Schemas

_ERROR_NAMES: dict[str, Any] = {
    "details": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
    "param": {"type": ["string", "null"]},
    "time": {"type": "string", "format": "date-time"},
}


def write(aliases: Aliases, catalog: Catalog) -> bytes:
    """The document of our own calls and of the loaded systems', as JSON."""
    return orjson.dumps(build_document(catalog, lambda schemas: _addition(aliases, schemas)))


def _addition(aliases: Aliases, schemas: Schemas) -> Addition:
    paths: dict[str, dict[str, Any]] = {}
    for options in aliases.by_call().values():
        system, route, template = options[0]
        if template.text != route.path:
            continue  # the same call with or without a slash at its end
        path, names = path_of(template)
        operation = _operation(system, [route for _, route, _ in options], names, schemas)
        paths.setdefault(path, {})[route.http_verb.lower()] = operation
    tags = [
        {"name": system.title, "description": f"{system.about} Served by our own calls."}
        for system in aliases.systems
        if system.routes
    ]
    return Addition(paths, tags)


def _operation(system: System, routes: list[AliasRoute], names: list[str], schemas: Schemas) -> dict[str, Any]:
    route = routes[0]
    served = "\n\n".join(f"`{each.call}`: {each.summary} Served by `{each.rpc}` ({each.row})." for each in routes)
    words = "_".join(part for part in route.path.replace("{", "").replace("}", "").split("/") if part) or "root"
    operation: dict[str, Any] = {
        "operationId": f"{system.name}_{route.http_verb.lower()}_{words}",
        "summary": route.summary.removesuffix("."),
        "description": served,
        "tags": [system.title],
        "security": [{"bearer": []}, {"apiKey": []}] if route.method.wants_credential else [],
    }
    parameters = [*path_parameters(route.binding, names, schemas), *_query(routes, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if route.binding.body:
        content = {"application/json": {"schema": _body(route, schemas)}}
        operation["requestBody"] = {"required": route.http_verb != "DELETE", "content": content}
    operation["responses"] = _responses(system, route, schemas)
    return operation


def _query(routes: list[AliasRoute], schemas: Schemas) -> list[dict[str, Any]]:
    matched: dict[str, list[str]] = {}
    for route in routes:
        for name, value in route.match:
            matched.setdefault(name, []).append(value)
    made = [
        {"name": name, "in": "query", "schema": {"type": "string"} if GIVEN in values else {"enum": values}}
        for name, values in matched.items()
    ]
    route, rules = routes[0], routes[0].rules
    made += [
        {"name": each.name, "in": "query", "schema": schemas.field(each.fields[-1])}
        for each in rules.query
        if each.name not in matched
    ]
    hidden = {".".join(path) for path, _ in rules.constants} | {".".join(each.path) for each in rules.query}
    own = query_parameters(route.method, route.binding, schemas)
    return made + [each for each in own if each["name"] not in hidden]


def _body(route: AliasRoute, schemas: Schemas) -> dict[str, Any]:
    method, rules = route.method, route.rules
    message: Descriptor = method.input
    if method.takes_http_body and method.documents is not None:
        message = schemas.descriptor(method.documents.request)
    hidden = {each.path[0] for each in rules.body if not each.format} | {path[0] for path, _ in rules.constants}
    hidden |= {each.path[0] for each in rules.query}
    schema = schemas.object(message, frozenset(hidden))
    for each in rules.body:
        words = [word for word, _ in each.words]
        schema["properties"][each.name] = {"enum": words} if words else schemas.field(each.fields[-1])
        if each.format:
            schema["properties"][each.name] = dict(IN_FORMATS[each.format].schema)
    optional = {each.path[0] for each in rules.body if each.format} | {path[0] for path, _ in rules.defaults}
    required = [name for name in schema.pop("required", []) if name not in optional]
    return {**schema, "required": required} if required else schema


def _responses(system: System, route: AliasRoute, schemas: Schemas) -> dict[str, Any]:
    known = answers_of(route.method, route.binding, schemas, route.summary)
    success = known.pop(str(route.method.http_success))
    media = success["content"].get("application/json")
    if media is not None and (route.answer is not None or route.enveloped):
        answer = media["schema"] if route.answer is None else _shown(route.answer, route.method.output, schemas)
        if route.enveloped and system.envelope is not None:
            answer = _wrapped(system.envelope.success, {**_ERROR_NAMES, "answer": answer})
        success["content"]["application/json"] = {"schema": answer}
    if route.enveloped and system.envelope is not None:
        known = {"default": _failure(system.envelope)}
    return {str(route.status): success, **known}


def _failure(envelope: Envelope) -> dict[str, Any]:
    schema = _wrapped(envelope.failure, _ERROR_NAMES)
    return {"description": "A refusal.", "content": {"application/json": {"schema": schema}}}


def _wrapped(template: Template, names: dict[str, Any]) -> dict[str, Any]:
    """The schema of an envelope, whose paths are names."""
    if isinstance(template, Constant):
        return {"const": template.value}
    if isinstance(template, Shape):
        return _object({name: _wrapped(each, names) for name, each in template.entries})
    return dict(names.get(template.path[0], {"type": "string"})) if isinstance(template, Taken) else {}


def _shown(template: Template, scope: Descriptor | None, schemas: Schemas) -> dict[str, Any]:
    """The schema of what a template renders; `scope` is where its paths begin, None for a scalar."""
    if isinstance(template, Constant):
        return {"const": template.value}
    if isinstance(template, Each):
        inside = template.items.fields[-1].message_type
        return {"type": "array", "items": _shown(template.item, inside, schemas)}
    if isinstance(template, Taken):
        return _taken(template, scope, schemas)
    made = _object({name: _shown(each, scope, schemas) for name, each in template.entries})
    if template.all_of is not None:
        inside = template.all_of.fields[-1].message_type if template.all_of.fields else scope
        every = {} if inside is None else schemas.object(inside, template.without)["properties"]
        made["properties"] = {**every, **made["properties"]}
    return made


def _taken(template: Taken, scope: Descriptor | None, schemas: Schemas) -> dict[str, Any]:
    if not template.path:
        return {} if scope is None else schemas.message(scope)
    if template.renamed:
        return {}
    if template.format:
        return {"anyOf": [dict(FORMATS[template.format].schema), {"type": "null"}]}
    schema = schemas.field(template.fields[-1])
    # Whatever is absent on the way is null here.
    may_lack = any(field.has_presence for field in template.fields)
    return {"anyOf": [schema, {"type": "null"}]} if may_lack else schema


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}
