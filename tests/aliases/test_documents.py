"""The page and the OpenAPI document say what the files say."""

from __future__ import annotations

import json
from typing import Any, Final

from openapi_spec_validator import OpenAPIV31SpecValidator

from bridge.aliases import document, openapi
from tests.aliases.conftest import ALIASES, CATALOG
from tests.aliases.wire import Wire
from tests.docs.checkout import CHECKOUT
from tests.support.served import Served

DESCRIBED: Final[dict[str, Any]] = json.loads(openapi.write(ALIASES, CATALOG))


def test_the_page_is_what_the_files_give() -> None:
    assert (CHECKOUT / "docs" / "aliases.md").read_text("utf-8") == document.build(CATALOG)


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DESCRIBED).validate()


def test_every_call_stands_in_the_document_under_its_system() -> None:
    for system in ALIASES.systems:
        for route in system.routes:
            operation = DESCRIBED["paths"][route.path][route.http_verb.lower()]
            assert route.rpc in operation["description"]
            assert operation["tags"] == [system.title] or route.shared


def test_documented_names_stand_in_the_document() -> None:
    paths = DESCRIBED["paths"]
    revoke = paths["/api/revoke-key"]["delete"]["requestBody"]["content"]["application/json"]["schema"]
    assert list(revoke["properties"]) == ["apiKey"]
    lynxa = paths["/api/lynxa"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert lynxa["properties"]["message"] == {"type": "string"}
    login = paths["/api/v1/auth/login"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(login["properties"]) == {"success", "data", "message", "timestamp"}
    billing = paths["/api/billing"]["get"]["parameters"][0]
    assert (billing["name"], billing["schema"]) == ("action", {"enum": ["subscription"]})


async def test_the_bridge_serves_the_document_of_what_is_loaded(served: Served) -> None:
    found = await Wire(served.http).ok("GET /openapi.json")
    assert "/api/lynxa" in found["paths"]
    assert "/v1/keys" in found["paths"]
