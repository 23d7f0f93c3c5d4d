"""What a catalogue refuses to load, in a sentence for whoever wrote the proto."""

from __future__ import annotations

import pytest

from bridge.app import Bridge
from bridge.catalog import Catalog
from bridge.descriptor_image import CatalogError
from bridge.router import RouteConflict
from bridge.settings import BridgeSettings
from tests.rest.scripted import ScriptedCaller, echo
from tests.transcoding.forms import compile_text, forms_catalog

_HEAD = """syntax = "proto3";
package given.v1;
import "google/api/annotations.proto";
import "tollbridge/options/v1/options.proto";
message Part { string id = 1; }
message Request { string id = 1; Part part = 2; repeated Part parts = 3; repeated string texts = 4; }
message Answer { string id = 1; }
service GivenService {
"""


def _proto(*rules: str, streaming: str = "") -> bytes:
    methods = [
        f"rpc Do{number}({streaming}Request) returns (Answer) {{ option (google.api.http) = {{ {rule} }};"
        " option (tollbridge.options.v1.access) = { principals: [PRINCIPAL_ANYONE] }; }"
        for number, rule in enumerate(rules)
    ]
    return compile_text(_HEAD + "\n".join(methods) + "\n}\n")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ('get: "/v1/{nope}"', "names 'nope', but given.v1.Request has no field 'nope'"),
        ('get: "/v1/{part.nope}"', "names 'part.nope', but given.v1.Part has no field 'nope'"),
        ('get: "/v1/{id.x}"', "'id' in 'id.x' is not a message"),
        ('get: "/v1/{parts.id}"', "'parts.id' goes through the repeated field 'parts'"),
        ('get: "/v1/{texts}"', "'texts' goes through the repeated field 'texts'"),
        ('get: "/v1/{part}"', "'part' is a message, which a path cannot carry"),
        ('get: "/v1/{id"', "expected '}'"),
        ('get: "/v1/x" body: "*"', "a GET binding cannot have a body"),
        ('post: "/v1/x" body: "nope"', "body names 'nope', which given.v1.Request does not have"),
        ('get: "/v1/x" response_body: "nope"', "response_body names 'nope', which given.v1.Answer does not have"),
        ('body: "*"', "its HTTP rule has no path"),
    ],
)
def test_a_rule_that_cannot_be_served_is_refused(rule: str, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        Catalog.from_image(_proto(rule))
    assert problem in str(caught.value)
    assert str(caught.value).startswith("given.proto: given.v1.GivenService.Do0: ")


def test_a_client_stream_cannot_be_bound() -> None:
    with pytest.raises(CatalogError, match="client-streaming"):
        Catalog.from_image(_proto('post: "/v1/x" body: "*"', streaming="stream "))


def test_two_rules_for_one_path_and_verb_stop_the_start() -> None:
    catalog = Catalog.from_image(_proto('get: "/v1/{id}"', 'get: "/v1/{part.id}"'))
    with pytest.raises(RouteConflict, match=r"GivenService\.Do0 .* and given\.v1\.GivenService\.Do1 .* both claim GET"):
        Bridge(BridgeSettings(), catalog, ScriptedCaller(echo), new_request_id=lambda: "r")


def test_options_are_read_from_any_pool() -> None:
    methods = {method.full_name.rpartition(".")[2]: method for method in forms_catalog().methods}
    assert methods["CreateThing"].http_success == 201
    assert methods["GetThing"].http_success == 200
    assert methods["Hidden"].access is None
    assert not methods["GetThing"].wants_credential
    assert methods["Talk"].wants_credential
    assert methods["Talk"].server_streaming
    documents = methods["Talk"].documents
    assert documents is not None
    assert documents.stream == "tests.forms.v1.Inner"
    assert len(methods["GetThing"].bindings) == 4
