"""Example values made from schemas, so that every body in the document shows one that has the right form."""

from __future__ import annotations

from typing import Any

from bridge.openapi.constraints import Schema

_MOST_DEPTH = 4
_BY_FORMAT = {"date-time": "2026-01-31T09:30:00Z", "email": "ada@example.com", "uri": "https://example.com/"}
_BY_NAME = {
    "content": "Say hello.",
    "currency": "USD",
    "email": "ada@example.com",
    "model": "smollm2-135m",
    "password": "correct horse battery staple",
    "role": "user",
}
_TELLING = "content"
"""A field that is shown even where it is optional: without it the example says nothing."""


def example_of(schema: Schema, components: dict[str, Schema], name: str = "", depth: int = 0) -> Any:
    """A value of the schema's form: required fields, or the first few where none is required."""
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components, name, depth)
    if "enum" in schema:
        return next((value for value in schema["enum"] if _says_something(value)), schema["enum"][0])
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return _object(schema, components, depth)
    if kind == "array":
        return [example_of(schema["items"], components, name, depth + 1)] if depth < _MOST_DEPTH else []
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1)) if schema.get("maximum", 1) >= 1 else schema["maximum"]
    if kind == "boolean":
        return True
    return _text(schema, name)


def _object(schema: Schema, components: dict[str, Schema], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    shown = schema.get("required") or list(properties)[:3]
    if depth >= _MOST_DEPTH:
        shown = schema.get("required", [])
    elif _TELLING in properties and _TELLING not in shown:
        shown = [*shown, _TELLING]
    return {name: example_of(properties[name], components, name, depth + 1) for name in shown if name in properties}


def _text(schema: Schema, name: str) -> str:
    if schema.get("pattern", "").startswith("^[0-9]+"):
        return "10"
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    text = _BY_NAME.get(name, name or "text")
    return text[: schema.get("maxLength", len(text))]


def _says_something(value: Any) -> bool:
    return bool(value) and not str(value).endswith("_UNSPECIFIED")
