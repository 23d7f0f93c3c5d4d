"""The OpenAPI document: valid, complete, the same every time, and in step with what the bridge does."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from bridge.catalog import Catalog
from bridge.openapi.__main__ import main
from bridge.openapi.document import build_document
from tests.rest.scripted import serving
from tests.transcoding.forms import forms_catalog, forms_image


@cache
def _document() -> dict[str, Any]:
    return build_document(forms_catalog())


def _operation(http_verb: str, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = _document()["paths"][path][http_verb]
    return operation


def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    paths: dict[str, dict[str, Any]] = _document()["paths"]
    return [(verb, path, operation) for path, verbs in paths.items() for verb, operation in verbs.items()]


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(_document()).validate()


def test_every_schema_and_example_is_valid_json_schema() -> None:
    definitions = {"components": _document()["components"]}
    for verb, path, operation in _operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                OAS31Validator({**content["schema"], **definitions}).validate(content["example"])
        for schema in definitions["components"]["schemas"].values():
            OAS31Validator.check_schema(schema)
        assert operation["summary"], (verb, path)


def test_every_bound_method_is_there_once() -> None:
    ids = [operation["operationId"] for _, _, operation in _operations()]
    assert len(ids) == len(set(ids))
    bindings = {
        f"Forms_{method.full_name.rpartition('.')[2]}" + (f"_{number}" if number > 1 else "")
        for method in forms_catalog().methods
        if method.access is not None
        for number, binding in enumerate(method.bindings, start=1)
        if binding.http_verb != "PURGE"
    }
    assert bindings <= set(ids)
    assert not any("Hidden" in name for name in ids)
    assert {"/health", "/health/ready", "/metrics", "/openapi.json", "/docs"} <= _document()["paths"].keys()


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    image = tmp_path / "image.binpb"
    image.write_bytes(forms_image())
    made = []
    for name in ("a.json", "b.json"):
        assert main([str(image), str(tmp_path / name)]) == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert json.loads(made[0]) == json.loads(json.dumps(build_document(Catalog.from_image(forms_image()))))


def test_a_wrong_call_says_how_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage" in capsys.readouterr().err


def test_comments_are_the_texts() -> None:
    operation = _operation("get", "/v1/things/{id}")
    assert operation["summary"] == "Reads one thing"
    assert "The second paragraph is its description." in operation["description"]
    schema = _document()["components"]["schemas"]["tests.forms.v1.Thing"]
    assert schema["description"] == "All field types."
    assert schema["properties"]["id"]["description"] == "Its id."
    assert "- `COLOUR_RED`: Red." in _document()["components"]["schemas"]["tests.forms.v1.Colour"]["description"]


def test_access_decides_the_security() -> None:
    assert _operation("get", "/v1/things/{id}")["security"] == []
    secured = _operation("post", "/v1/things/{id}:rotate")
    assert secured["security"] == [{"bearer": []}, {"apiKey": []}]
    assert "`things.rotate`" in secured["description"]
    assert "401" in secured["responses"]


def test_statuses_and_error_reasons_are_there() -> None:
    assert "201" in _operation("post", "/v1/things")["responses"]
    talk = _operation("post", "/v1/talk")["responses"]
    assert {"200", "400", "401", "403", "404", "409", "413", "415", "429", "500", "503", "default"} <= talk.keys()
    answer = _document()["components"]["responses"]["Error404"]
    assert "`model_not_found` (MODEL_NOT_FOUND): No such model" in answer["description"]


def test_http_body_methods_show_their_documented_shapes() -> None:
    talk = _operation("post", "/v1/talk")
    thing = {"$ref": "#/components/schemas/tests.forms.v1.Thing"}
    assert talk["requestBody"]["content"]["application/json"]["schema"] == thing
    content = talk["responses"]["200"]["content"]
    assert content["application/json"]["schema"] == thing
    assert content["text/event-stream"]["schema"]["contentSchema"] == {
        "$ref": "#/components/schemas/tests.forms.v1.Inner"
    }
    echo = _operation("post", "/v1/echo")
    assert "*/*" in echo["requestBody"]["content"]
    watch = _operation("get", "/v1/things:watch")["responses"]["200"]["content"]
    assert watch.keys() == {"text/event-stream"}


def test_fields_carry_their_types_and_rules() -> None:
    fields = _document()["components"]["schemas"]["tests.forms.v1.Thing"]["properties"]
    expected: dict[str, dict[str, Any]] = {
        "id": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z0-9_]+$"},
        "int32_value": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 100},
        "int64_value": {"type": "integer", "format": "int64"},
        "uint64_value": {"type": "integer", "minimum": 0},
        "bytes_value": {"type": "string", "contentEncoding": "base64"},
        "colour": {"$ref": "#/components/schemas/tests.forms.v1.Colour"},
        "moment": {"type": "string", "format": "date-time"},
        "int32s": {"type": "array", "items": {"type": "integer", "format": "int32"}, "maxItems": 3},
        "counts": {"type": "object", "additionalProperties": {"type": "integer", "format": "int32"}},
        "amount": {"type": ["string", "number"], "pattern": "^[0-9]+(\\.[0-9]{1,6})?$"},
        "word": {"type": "string", "enum": ["", "one", "two"]},
        "wrapped_text": {"type": ["string", "null"]},
    }
    for name, schema in expected.items():
        shown = {keyword: value for keyword, value in fields[name].items() if keyword != "description"}
        assert shown == schema, name
    assert _document()["components"]["schemas"]["tests.forms.v1.Thing"]["required"] == ["id"]


def test_parameters_are_what_path_and_body_leave() -> None:
    get = {(parameter["in"], parameter["name"]) for parameter in _operation("get", "/v1/things/{id}")["parameters"]}
    assert ("path", "id") in get
    assert ("query", "page_size") in get
    assert ("query", "id") not in get
    patch = {(parameter["in"], parameter["name"]) for parameter in _operation("patch", "/v1/things/{id}")["parameters"]}
    assert patch == {("path", "id"), ("query", "update_mask")}
    rotate = _operation("post", "/v1/things/{id}:rotate")
    assert "id" not in rotate["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in rotate["parameters"]}
    assert "/v1/shelves/{name}/things/{name_2}" in _document()["paths"]


async def test_every_path_is_really_served() -> None:
    async with serving() as served:
        for verb, path, operation in _operations():
            if "Operations" in operation["tags"]:
                continue
            url = served.url + path.replace("{", "").replace("}", "")
            async with served.client.request(verb.upper(), url, json={}) as response:
                assert response.status not in (404, 405), (verb, path)
                assert (response.status == 401) == bool(operation["security"]), (verb, path)
