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


def request_example(schema: Schema, components: dict[str, Schema]) -> Any:
    """A value that a client could send: required fields, or the first few where none is required."""
    return _Example(components, whole=False).value(schema, "", 0)


def answer_example(schema: Schema, components: dict[str, Schema]) -> Any:
    """A value as the server answers it: every field."""
    return _Example(components, whole=True).value(schema, "", 0)


class _Example:
    """Makes one example."""

    def __init__(self, components: dict[str, Schema], whole: bool) -> None:
        self._components = components
        self._whole = whole

    def value(self, schema: Schema, name: str, depth: int) -> Any:
        if "$ref" in schema:
            return self.value(self._components[schema["$ref"].rpartition("/")[2]], name, depth)
        if "enum" in schema:
            return next((value for value in schema["enum"] if _says_something(value)), schema["enum"][0])
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return [self.value(schema["items"], name, depth + 1)] if depth < _MOST_DEPTH else []
        if kind in ("integer", "number"):
            return max(1, schema.get("minimum", 1)) if schema.get("maximum", 1) >= 1 else schema["maximum"]
        return True if kind == "boolean" else _text(schema, name)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        shown = schema.get("required") or list(properties)[:3]
        if depth >= _MOST_DEPTH:
            shown = schema.get("required", [])
        elif self._whole:
            shown = list(properties)
        elif _TELLING in properties and _TELLING not in shown:
            shown = [*shown, _TELLING]
        return {name: self.value(properties[name], name, depth + 1) for name in shown if name in properties}


def _text(schema: Schema, name: str) -> str:
    if schema.get("pattern", "").startswith("^[0-9]+"):
        return "10"
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    text = _BY_NAME.get(name, name or "text")
    return text[: schema.get("maxLength", len(text))]


def _says_something(value: Any) -> bool:
    return bool(value) and not str(value).endswith("_UNSPECIFIED")
