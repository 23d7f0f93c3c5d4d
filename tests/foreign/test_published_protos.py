"""Protos that others published, as they are, and a service that has every path."""

from __future__ import annotations

from typing import Any

import pytest

from tests.foreign.service import compile_protos, serving

_PUBLISHED = ("google/longrunning/operations_proto.proto", "google/cloud/location/locations.proto")
_ROOTS = """syntax = "proto3";
package roots.v1;
import "google/api/annotations.proto";
service RootService {
  rpc Root(Named) returns (Named) { option (google.api.http) = {get: "/"}; }
  rpc Rest(Named) returns (Named) { option (google.api.http) = {post: "/{name=**}" body: "*"}; }
  rpc Health(Named) returns (Named) { option (google.api.http) = {get: "/health"}; }
}
message Named { string name = 1; int64 count = 2; }
"""


@pytest.mark.parametrize(
    ("http_verb", "path", "body", "expected"),
    [
        ("GET", "/v1/operations/a/b%2Fc", None, {"name": "operations/a/b%2Fc"}),
        (
            "GET",
            "/v1/operations?pageSize=3&filter=done",
            None,
            {"name": "operations", "page_size": 3, "filter": "done"},
        ),
        ("POST", "/v1/operations/a:cancel", "{}", {"name": "operations/a"}),
        ("DELETE", "/v1/operations/a:b", None, {"name": "operations/a:b"}),
        ("GET", "/v1/projects/p/locations", None, {"name": "projects/p"}),
        ("GET", "/v1/projects/p/locations/l", None, {"name": "projects/p/locations/l"}),
    ],
)
async def test_published_protos_are_served(
    http_verb: str, path: str, body: str | None, expected: dict[str, Any]
) -> None:
    async with serving(image=compile_protos({}, published=_PUBLISHED)) as served:
        assert await served.sent(http_verb, path, body) == expected


async def test_an_operation_shows_the_messages_that_it_packs() -> None:
    async def answer(_: Any, __: Any) -> Any:
        name = "google.longrunning.Operation"
        kind = "type.googleapis.com/google.longrunning.OperationInfo"
        return served.message(name, f'{{"name":"a","done":true,"response":{{"@type":"{kind}","responseType":"x"}}}}')

    async with serving({"GetOperation": answer}, image=compile_protos({}, published=_PUBLISHED)) as served:
        status, operation = await served.json("GET", "/v1/operations/a")
    packed = {"@type": "type.googleapis.com/google.longrunning.OperationInfo", "responseType": "x"}
    assert (status, operation) == (200, {"name": "a", "done": True, "response": packed})


async def test_the_root_and_every_path_belong_to_the_service() -> None:
    async with serving(image=compile_protos({"roots.proto": _ROOTS})) as served:
        assert await served.sent("GET", "/?count=1") == {"count": "1"}
        assert await served.sent("GET", "/health") == {}
        assert await served.sent("POST", "/metrics", '{"count":"2"}') == {"name": "metrics", "count": "2"}
