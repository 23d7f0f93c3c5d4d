"""What crosses beside the messages: headers, metadata, deadlines, credentials and errors."""

from __future__ import annotations

import base64
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from bridge.foreign.policy import ForeignOptions
from bridge.settings import BridgeSettings
from tests.foreign.service import serving


async def _metadata(headers: dict[str, str], options: ForeignOptions | None = None) -> dict[str, Any]:
    async with serving(options=options) as served:
        status, answer = await served.json("GET", "/v1/items/a", headers=headers)
        assert status == 200, answer
        return served.backend.metadata[-1]


async def test_headers_reach_the_server_as_metadata() -> None:
    got = await _metadata(
        {
            "Authorization": "Basic YQ==",
            "X-Trace": "1",
            "Grpc-Metadata-Tenant": "t",
            "Cookie": "a=b",
            "X-Data-Bin": base64.b64encode(b"\x00\xff").decode().rstrip("="),
            "X-Forwarded-For": "192.0.2.1",
            "Tollbridge-Origin": "forged",
            "X-Umlaut": "ä",
            "Grpc-Encoding": "x",
        }
    )
    assert {name: got[name] for name in ("authorization", "x-trace", "tenant", "cookie", "x-data-bin")} == {
        "authorization": "Basic YQ==",
        "x-trace": "1",
        "tenant": "t",
        "cookie": "a=b",
        "x-data-bin": b"\x00\xff",
    }
    assert got["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
    assert not got.keys() & {"tollbridge-origin", "x-umlaut", "host", "accept", "content-type", "grpc-encoding"}


async def test_metadata_reaches_the_client_as_headers_and_nothing_of_ours_is_added() -> None:
    async def answer(_: Any, context: Any) -> None:
        await context.send_initial_metadata((("x-one", "1"), ("location", "/there"), ("x-data-bin", b"\x00")))
        context.set_trailing_metadata((("x-two", "2"), ("content-length", "9")))

    async with serving({"Get": answer}) as served, served.client.get(served.url + "/v1/items/a") as response:
        shown = {name.lower(): value for name, value in response.headers.items()}
        assert await response.text() == "{}"
    shown.pop("date")
    assert shown == {
        "x-one": "1",
        "x-two": "2",
        "location": "/there",
        "x-data-bin": "AA==",
        "server": "tollbridge",
        "content-type": "application/json",
        "content-length": "2",
    }


async def test_a_deadline_is_the_clients_or_the_operators() -> None:
    settings = BridgeSettings(call_timeout=20)
    async with serving(settings=settings) as served:
        for header in ({}, {"Grpc-Timeout": "5S"}, {"Grpc-Timeout": "1H"}):
            assert (await served.json("GET", "/v1/items/a", headers=header))[0] == 200
        first, second, third = served.backend.deadlines
        assert first is not None
        assert second is not None
        assert third is not None
        assert 15 < first < 21
        assert 0 < second < 6
        assert 15 < third < 21
        status, answer = await served.json("GET", "/v1/items/a", headers={"Grpc-Timeout": "5 s"})
    assert (status, answer["code"]) == (400, 3)


async def test_a_call_beyond_its_deadline_is_a_504() -> None:
    async def answer(_: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too long")

    async with serving({"Get": answer}) as served:
        assert await served.json("GET", "/v1/items/a") == (504, {"code": 4, "message": "too long", "details": []})


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((1, 499), (2, 500), (3, 400), (4, 504), (5, 404), (6, 409), (7, 403), (8, 429), (9, 400), (10, 409)),
        *((11, 400), (12, 501), (13, 500), (14, 503), (15, 500), (16, 401)),
    ],
)
async def test_every_code_has_its_status(code: int, status: int) -> None:
    async def answer(_: Any, context: Any) -> None:
        found = next(each for each in grpc.StatusCode if each.value[0] == code)
        await context.abort(found, "wörds")

    async with serving({"Fail": answer}) as served:
        assert await served.json("GET", "/v1/fail/a") == (status, {"code": code, "message": "wörds", "details": []})


async def test_details_are_shown_known_or_not() -> None:
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="NO", domain="d", metadata={"a_b": "c"}))
    own = any_pb2.Any(type_url="type.googleapis.com/foreign.workshop.v1.Text", value=b"\x0a\x01x")
    unknown = any_pb2.Any(type_url="x.example/no.Such", value=b"\x01")
    broken = any_pb2.Any(type_url="type.googleapis.com/foreign.workshop.v1.Text", value=b"\xff")
    status = status_pb2.Status(code=code_pb2.ABORTED, message="no", details=[info, own, unknown, broken])

    async def answer(_: Any, context: Any) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()), ("x-more", "1")))
        await context.abort(grpc.StatusCode.ABORTED, "no")

    async with serving({"Fail": answer}) as served, served.client.get(served.url + "/v1/fail/a") as response:
        body = await response.json()
        assert (response.status, response.headers["x-more"]) == (409, "1")
    known = "type.googleapis.com/google.rpc.ErrorInfo"
    assert body == {
        "code": 10,
        "message": "no",
        "details": [
            {"@type": known, "reason": "NO", "domain": "d", "metadata": {"a_b": "c"}},
            {"@type": "type.googleapis.com/foreign.workshop.v1.Text", "value": "x"},
            {"@type": "x.example/no.Such", "value": "AQ=="},
            {"@type": "type.googleapis.com/foreign.workshop.v1.Text", "value": "/w=="},
        ],
    }


async def test_a_credential_is_asked_for_only_with_auth() -> None:
    options = ForeignOptions(auth=True)
    assert (await _metadata({"Authorization": "Bearer x"}, options))["authorization"] == "Bearer x"
    assert (await _metadata({"X-Api-Key": "k"}, options))["x-api-key"] == "k"
    async with serving(options=options) as served:
        # The body would be refused; that it is not looked at shows in the status.
        async with served.client.post(served.url + "/v1/items", data=b"{") as response:
            body = await response.json()
            assert (response.status, response.headers["WWW-Authenticate"], body["code"]) == (401, "Bearer", 16)
        assert not served.backend.requests


async def test_pages_stand_under_a_prefix_when_asked_for() -> None:
    async with serving(options=ForeignOptions(pages_prefix="/_bridge")) as served:
        for path in ("/_bridge/health", "/_bridge/health/ready"):
            assert (await served.json("GET", path))[0] == 200
        assert (await served.json("GET", "/health"))[0] == 404


async def test_only_the_services_that_are_asked_for_are_served() -> None:
    options = ForeignOptions(services=frozenset({"foreign.shelves.v1.ShelfService"}))
    async with serving(options=options) as served:
        assert (await served.json("GET", "/v1/shelves/a"))[0] == 200
        assert (await served.json("GET", "/v1/items/a"))[0] == 404
