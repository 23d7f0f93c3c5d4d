"""Errors by RFC 9457 for whoever asks, on every way that an error can take; OpenAI's form for everybody else."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from bridge.problem import is_wanted
from tests.rest.scripted import ScriptedReply, serving
from tests.rest.test_errors import _refusal, _refusing

PROBLEM = "application/problem+json"
ASKED = {"Accept": PROBLEM}
KEY = {"Authorization": "Bearer x"}


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ([PROBLEM], True),
        ([f"application/json, {PROBLEM}"], True),
        (["application/json", PROBLEM], True),
        ([f"{PROBLEM}; charset=utf-8"], True),
        ([f"{PROBLEM.upper()};Q=0.9, application/json;q=0.5"], True),
        ([f"{PROBLEM};q=0.5, application/json"], False),
        ([f"{PROBLEM};q=0.5, */*;q=0.8"], False),
        ([f"{PROBLEM};q=0.5, */*;q=0.8, application/json;q=0.1"], True),
        ([f"{PROBLEM};q=0"], False),
        ([f"{PROBLEM};q=nan"], False),
        ([f"{PROBLEM};q=x"], False),
        (["application/json"], False),
        (["*/*"], False),
        (["application/*"], False),
        (["text/event-stream"], False),
        ([], False),
    ],
)
def test_only_who_names_the_form_gets_it(accept: list[str], wanted: bool) -> None:
    assert is_wanted(accept) is wanted


async def problem_of(served: Any, verb: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    headers = {**ASKED, **options.pop("headers", {})}
    async with served.client.request(verb, served.url + path, headers=headers, **options) as response:
        assert response.content_type == PROBLEM
        body: dict[str, Any] = await response.json()
        assert body["status"] == response.status
        assert body["request_id"] == response.headers["x-request-id"]
        assert body["instance"].endswith(body["request_id"])
        assert (body["type"], body["title"]) == ("about:blank", response.reason)
        assert body["detail"]
        return response.status, body


@pytest.mark.parametrize(
    ("verb", "path", "options", "status", "code"),
    [
        ("GET", "/nothing", {}, 404, "route_not_found"),
        ("DELETE", "/v1/things", {}, 405, "method_not_allowed"),
        (
            "POST",
            "/v1/things",
            {"data": b"x", "headers": {"Content-Type": "text/plain", **KEY}},
            415,
            "unsupported_media_type",
        ),
        (
            "POST",
            "/v1/things",
            {"data": b"{", "headers": {"Content-Type": "application/json", **KEY}},
            400,
            "invalid_request",
        ),
        ("POST", "/v1/talk", {}, 401, "missing_api_key"),
        ("GET", "/v1/things/a", {"headers": {"x-one": "x" * 8_300, "x-two": "x" * 8_300}}, 431, "headers_too_large"),
    ],
)
async def test_what_the_bridge_refuses(verb: str, path: str, options: dict[str, Any], status: int, code: str) -> None:
    async with serving() as served:
        found, body = await problem_of(served, verb, path, **options)
    assert (found, body["code"]) == (status, code)


async def test_what_the_server_refuses_with_its_fields_and_its_delay() -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="messages", description="must not be empty")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    async with serving(_refusing(_refusal(3, "INVALID_ARGUMENT", bad, retry))) as served:
        status, body = await problem_of(served, "GET", "/v1/things/a")
    assert (status, body["code"], body["detail"]) == (400, "invalid_request", "public text")
    assert body["errors"] == [{"field": "messages", "detail": "must not be empty"}]
    assert body["retry_after"] == 1.5
    assert body["metadata"] == {"a": "b"}


async def test_a_fault_of_ours_tells_nothing() -> None:
    def broken(_: Any) -> ScriptedReply:
        raise RuntimeError("the secret text")

    async with serving(broken) as served:
        status, body = await problem_of(served, "GET", "/v1/things/a")
    assert (status, body["code"]) == (500, "internal_error")
    assert "secret" not in str(body)


async def test_a_body_that_is_too_large() -> None:
    head = b"POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n"
    async with serving() as served:
        answer = await served.raw(head + b"Authorization: Bearer x\r\nAccept: " + PROBLEM.encode() + b"\r\n\r\n{")
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"application/problem+json" in answer
    assert b'"code":"request_too_large"' in answer


async def test_openai_clients_keep_their_form() -> None:
    async with serving() as served:
        for accept in ("application/json", "*/*", "text/event-stream, application/json"):
            async with served.client.get(f"{served.url}/nothing", headers={"Accept": accept}) as response:
                assert response.content_type == "application/json"
                assert "error" in await response.json()
