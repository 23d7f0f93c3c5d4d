"""Errors in OpenAI's form: what the server refused, what the bridge refused, and what neither may show."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from bridge.caller import NO_MESSAGE, Call, Refusal
from bridge.errors import rule_of
from tests.rest.scripted import ScriptedReply, serving
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason

_GOOD = {"Authorization": "Bearer x"}


def _refusal(code: int, reason: str = "", *details: Any, message: str = "public text") -> Refusal:
    status = status_pb2.Status(code=code, message=message)
    packed = [error_details_pb2.ErrorInfo(reason=reason, domain="tollbridge", metadata={"a": "b"})] if reason else []
    for detail in [*packed, *details]:
        status.details.add().Pack(detail)
    return Refusal(code, message, status.SerializeToString() if reason or details else b"", [("x-late", "1")])


def _refusing(refusal: Refusal) -> Any:
    def script(_: Call) -> ScriptedReply:
        return ScriptedReply([refusal])

    return script


async def _refused(refusal: Refusal) -> tuple[int, dict[str, Any], dict[str, str]]:
    async with (
        serving(_refusing(refusal)) as served,
        served.client.get(f"{served.url}/v1/things/a") as response,
    ):
        body = await response.json()
        assert body["error"]["request_id"] == response.headers["x-request-id"] == "req_1"
        return response.status, body["error"], {name.lower(): value for name, value in response.headers.items()}


@pytest.mark.parametrize("reason", [value for value in ErrorReason.values() if value])
async def test_every_reason_has_the_status_type_and_code_of_its_rule(reason: Any) -> None:
    rule = rule_of(reason)
    name = ErrorReason.Name(reason).removeprefix("ERROR_REASON_")
    status, error, headers = await _refused(_refusal(rule.grpc_code, name))
    assert (status, error["type"], error["code"]) == (rule.http_status, rule.type, rule.code)
    assert error["message"] == "public text"
    assert error["param"] is None
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": name,
            "domain": "tollbridge",
            "metadata": {"a": "b"},
        }
    ]
    assert headers.get("x-should-retry") == ("false" if rule.never_retry else None)
    assert headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    assert headers["x-late"] == "1"


async def test_a_reason_may_carry_its_enums_prefix() -> None:
    status, error, _ = await _refused(_refusal(5, "ERROR_REASON_MODEL_NOT_FOUND"))
    assert (status, error["code"]) == (404, "model_not_found")


async def test_the_first_field_that_is_wrong_is_the_param() -> None:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field="messages", description="must not be empty"),
        error_details_pb2.BadRequest.FieldViolation(field="n", description="is too large"),
    ]
    bad = error_details_pb2.BadRequest(field_violations=violations)
    status, error, _ = await _refused(_refusal(3, "INVALID_ARGUMENT", bad))
    assert (status, error["param"]) == (400, "messages")
    assert [violation["field"] for violation in error["details"][1]["field_violations"]] == ["messages", "n"]


@pytest.mark.parametrize(
    ("delay", "seconds", "milliseconds"),
    [
        (Duration(seconds=1), "1", "1000"),
        (Duration(nanos=12_000_000), "1", "12"),
        (Duration(seconds=59, nanos=1), "60", "59001"),
        (Duration(), "0", "0"),
    ],
)
async def test_retry_info_becomes_retry_after(delay: Duration, seconds: str, milliseconds: str) -> None:
    info = error_details_pb2.RetryInfo(retry_delay=delay)
    _, _, headers = await _refused(_refusal(8, "BALANCE_RESERVED", info))
    assert (headers["retry-after"], headers["retry-after-ms"]) == (seconds, milliseconds)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((1, 499), (3, 400), (4, 504), (5, 404), (6, 409), (7, 403), (8, 429), (9, 400)),
        *((10, 409), (11, 400), (12, 501), (14, 503), (16, 401)),
    ],
)
async def test_a_status_without_a_reason_follows_its_code(code: int, status: int) -> None:
    got, error, _ = await _refused(_refusal(code))
    assert got == status
    assert isinstance(error["message"], str)


@pytest.mark.parametrize("code", [2, 13, 15, 14, 12, 99])
async def test_a_failure_of_ours_without_a_reason_shows_nothing_of_itself(code: int) -> None:
    refusal = _refusal(code, "", error_details_pb2.DebugInfo(detail="stack"), message="SELECT secret /srv/app.py")
    status, error, _ = await _refused(refusal)
    assert status >= 500
    assert "SELECT" not in str(error)
    assert "stack" not in str(error)


async def test_another_domains_reason_is_not_ours() -> None:
    info = error_details_pb2.ErrorInfo(reason="MODEL_NOT_FOUND", domain="elsewhere.example")
    status, error, _ = await _refused(_refusal(3, "", info))
    assert (status, error["code"]) == (400, "invalid_argument")


async def test_details_that_do_not_parse_are_left_out() -> None:
    status, error, _ = await _refused(Refusal(5, "not there", b"\xff\xff\xff"))
    assert (status, error["message"], error["details"]) == (404, "not there", [])


async def test_a_bug_behind_the_port_is_500_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError("SELECT secret")

    async with serving(lambda _: ScriptedReply([broken])) as served:
        status, body = await served.json("GET", "/v1/things/a")
        assert served.caller.replies[0].closed.is_set()
    assert status == 500
    assert "SELECT" not in str(body)
    assert body["error"]["request_id"] in caplog.text
    assert "SELECT secret" in caplog.text


async def test_an_answer_without_a_message_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(lambda _: ScriptedReply([])) as served:
        status, _ = await served.json("GET", "/v1/things/a")
    assert status == 500
    assert "did not answer with one message" in caplog.text


async def test_an_unknown_path_is_404() -> None:
    async with serving() as served:
        for path in ("/", "/v1", "/v1/nope", "/v1/things/", "/v1/things/a/b", "/V1/things/a", "//v1/things/a"):
            status, body = await served.json("GET", path)
            assert (status, body["error"]["code"]) == (404, "route_not_found"), path


@pytest.mark.parametrize(
    ("http_verb", "path", "allowed"),
    [
        ("DELETE", "/v1/things", "OPTIONS, POST"),
        ("GET", "/v1/things/search", "OPTIONS, POST"),
        ("PUT", "/v1/things/a", "DELETE, GET, HEAD, OPTIONS, PATCH, PURGE"),
        ("GET", "/v1/things/a:rotate", "OPTIONS, POST"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("TRACE", "/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_verb_is_405_and_says_which_are_right(http_verb: str, path: str, allowed: str) -> None:
    async with serving() as served, served.client.request(http_verb, served.url + path) as response:
        assert response.status == 405
        assert response.headers["Allow"] == allowed
        assert (await response.json())["error"]["code"] == "method_not_allowed"


async def test_head_is_get_without_its_body() -> None:
    async with serving() as served:
        async with served.client.get(f"{served.url}/v1/things/a") as response:
            length = response.headers["Content-Length"]
        async with served.client.head(f"{served.url}/v1/things/a") as response:
            assert (response.status, response.headers["Content-Length"], await response.read()) == (200, length, b"")


async def test_options_says_what_a_path_takes() -> None:
    async with serving() as served, served.client.options(f"{served.url}/v1/things") as response:
        assert (response.status, response.headers["Allow"]) == (204, "OPTIONS, POST")


class TestCredentials:
    """A method that wants a caller is refused before its body is looked at."""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic dTpw"},
            {"Authorization": "tb_live_x"},
            {"x-api-key": " "},
        ],
    )
    async def test_no_credential_is_401(self, headers: dict[str, str]) -> None:
        async with serving() as served, served.client.post(f"{served.url}/v1/talk", headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert (await response.json())["error"]["code"] == "missing_api_key"
            (counted,) = served.caller.calls
            assert (counted.request, counted.metadata) == (NO_MESSAGE, ()), "the server counts it by its address"

    async def test_no_credential_from_an_address_that_sent_too_many_is_429(self) -> None:
        refusal = _refusal(8, "LIMIT_EXCEEDED", error_details_pb2.RetryInfo())
        async with (
            serving(_refusing(refusal)) as served,
            served.client.post(f"{served.url}/v1/talk") as response,
        ):
            assert response.status == 429
            assert (await response.json())["error"]["code"] == "rate_limit_exceeded"

    @pytest.mark.parametrize(
        ("headers", "sent"),
        [
            ({"Authorization": "Bearer k"}, "Bearer k"),
            ({"Authorization": "bearer  k "}, "Bearer k"),
            ({"x-api-key": "k"}, "Bearer k"),
            ({"Authorization": "Basic x", "x-api-key": "k"}, "Bearer k"),
            ({"Authorization": "Bearer a", "x-api-key": "b"}, "Bearer a"),
        ],
    )
    async def test_a_credential_goes_on_as_bearer(self, headers: dict[str, str], sent: str) -> None:
        async with serving() as served:
            await served.json("DELETE", "/v1/things/a", headers=headers)
            assert list(served.caller.calls[0].metadata) == [("authorization", sent)]

    async def test_a_credential_that_cannot_be_one_is_401(self) -> None:
        async with serving() as served:
            request = "DELETE /v1/things/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer é\r\n\r\n"
            answer = await served.raw(request.encode())
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert b"invalid_api_key" in answer

    @pytest.mark.parametrize(
        "body",
        [b"{}", b"{", b"\xff", b'{"deep":' * 1000],
    )
    async def test_the_missing_credential_is_told_before_anything_about_the_body(self, body: bytes) -> None:
        async with serving() as served:
            for path in ("/v1/talk", "/v1/things/free text :rotate"):
                status, _ = await served.json("POST", path, data=body, headers={"Content-Type": "text/weird"})
                assert status == 401

    async def test_the_401_does_not_wait_for_the_body(self) -> None:
        async with serving() as served:
            answer = await served.raw(b"POST /v1/talk HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401 ")
