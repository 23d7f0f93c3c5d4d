"""Headers of every answer: ids, security, cross-origin rules, packing, and what comes from the server's metadata."""

from __future__ import annotations

import gzip
import re

import pytest

from bridge.caller import Call, Metadata, Refusal
from bridge.headers import accepts_gzip
from bridge.settings import BridgeSettings
from tests.rest.scripted import ScriptedReply, Served, serving
from tests.transcoding.forms import message_class

_PAGE = "https://app.example"


async def _headers(served: Served, http_verb: str, path: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    async with served.client.request(http_verb, served.url + path, headers=headers) as response:
        await response.read()
        return {name.lower(): value for name, value in response.headers.items()}


@pytest.mark.parametrize(
    ("http_verb", "path"),
    [
        ("GET", "/v1/things/a"),
        ("GET", "/v1/nope"),
        ("PUT", "/v1/things"),
        ("POST", "/v1/talk"),
        ("OPTIONS", "/v1/things"),
        ("GET", "/health"),
        ("GET", "/v1/things:watch"),
        ("GET", "/v1/query?nope=1"),
    ],
)
async def test_every_answer_has_its_id_its_time_and_the_security_headers(http_verb: str, path: str) -> None:
    async with serving() as served:
        headers = await _headers(served, http_verb, path)
    assert headers["x-request-id"] == "req_1"
    assert re.fullmatch(r"[0-9]+\.[0-9]{6}", headers["x-process-time"])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["server"] == "tollbridge"
    assert "access-control-allow-origin" not in headers


async def test_each_request_has_an_id_of_its_own() -> None:
    async with serving() as served:
        ids = [(await _headers(served, "GET", "/v1/things/a"))["x-request-id"] for _ in range(3)]
        assert ids == ["req_1", "req_2", "req_3"]
        assert [call.origin.request_id for call in served.caller.calls] == ids


async def test_metadata_that_clients_may_see_becomes_headers() -> None:
    initial = [
        ("openai-processing-ms", "5"),
        ("x-ratelimit-limit-requests", "10"),
        ("ratelimit", '"a";r=5'),
        ("secret", "s"),
    ]
    trailing: Metadata = [
        ("idempotent-replayed", "true"),
        ("retry-after", "3"),
        ("x-outcome-bin", b"\x01"),
        ("grpc-status", "0"),
        ("x-broken", "a\r\nSet-Cookie: b"),
        ("x-process-time", "9"),
        ("x-frame-options", "ALLOW"),
    ]

    def script(_: Call) -> ScriptedReply:
        return ScriptedReply([message_class("Thing")()], initial=initial, trailing=trailing)

    async with serving(script) as served:
        headers = await _headers(served, "GET", "/v1/things/a")
    assert headers["openai-processing-ms"] == "5"
    assert headers["x-ratelimit-limit-requests"] == "10"
    assert headers["ratelimit"] == '"a";r=5'
    assert headers["idempotent-replayed"] == "true"
    assert headers["retry-after"] == "3"
    assert headers["x-process-time"] != "9"
    assert headers["x-frame-options"] == "DENY"
    assert headers.keys().isdisjoint({"secret", "x-outcome-bin", "grpc-status", "x-broken", "set-cookie"})


async def test_the_servers_request_id_wins() -> None:
    def script(_: Call) -> ScriptedReply:
        return ScriptedReply([message_class("Thing")()], initial=[("x-request-id", "req_server")])

    async with serving(script) as served:
        assert (await _headers(served, "GET", "/v1/things/a"))["x-request-id"] == "req_server"


async def test_the_servers_request_id_wins_in_errors_too() -> None:
    refusal = Refusal(5, "not there", trailing_metadata=[("x-request-id", "req_server")])
    async with (
        serving(lambda _: ScriptedReply([refusal])) as served,
        served.client.get(f"{served.url}/v1/things/a") as response,
    ):
        assert response.headers["x-request-id"] == "req_server"
        assert (await response.json())["error"]["request_id"] == "req_server"


class TestCrossOrigin:
    """Only the origins that are named, exactly as browsers send them."""

    async def test_a_named_page_may_call(self) -> None:
        async with serving(settings=BridgeSettings(cors_origins=(_PAGE,))) as served:
            headers = await _headers(served, "GET", "/v1/things/a", {"Origin": _PAGE})
        assert headers["access-control-allow-origin"] == _PAGE
        assert "x-request-id" in headers["access-control-expose-headers"]
        assert headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in headers

    @pytest.mark.parametrize(
        "origin",
        ["https://app.example.evil", "http://app.example", "https://APP.example", "null", "https://app.example:443"],
    )
    async def test_other_pages_may_not(self, origin: str) -> None:
        async with serving(settings=BridgeSettings(cors_origins=(_PAGE,))) as served:
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            for http_verb in ("GET", "OPTIONS"):
                headers = await _headers(served, http_verb, "/v1/things/a", asked)
                assert not any(name.startswith("access-control") for name in headers)
                assert headers["vary"] == "Origin"

    async def test_a_named_pages_preflight_needs_no_credential(self) -> None:
        async with serving(settings=BridgeSettings(cors_origins=(_PAGE,))) as served:
            asked = {"Origin": _PAGE, "Access-Control-Request-Method": "POST"}
            headers = await _headers(served, "OPTIONS", "/v1/talk", asked)
        assert headers["access-control-allow-origin"] == _PAGE
        assert "POST" in headers["access-control-allow-methods"]
        assert "authorization" in headers["access-control-allow-headers"]

    async def test_errors_reach_the_named_page_too(self) -> None:
        async with serving(settings=BridgeSettings(cors_origins=(_PAGE,))) as served:
            headers = await _headers(served, "POST", "/v1/talk", {"Origin": _PAGE})
        assert headers["access-control-allow-origin"] == _PAGE


class TestPacking:
    """Answers from one kilobyte on are packed for clients that take it."""

    async def test_a_large_answer_is_packed(self) -> None:
        async with (
            serving() as served,
            served.client.get(
                f"{served.url}/v1/query?id={'a' * 2000}", headers={"Accept-Encoding": "gzip"}
            ) as response,
        ):
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept-Encoding"
            assert b'"id":"aaa' in gzip.decompress(await response.read())

    @pytest.mark.parametrize(
        ("size", "accepted"), [(10, "gzip"), (2000, "identity"), (2000, "br"), (2000, "gzip;q=0"), (2000, "")]
    )
    async def test_others_are_not(self, size: int, accepted: str) -> None:
        async with serving() as served:
            path = f"/v1/things/{'a' * size}"
            headers = await _headers(served, "GET", path, {"Accept-Encoding": accepted})
        assert "content-encoding" not in headers

    @pytest.mark.parametrize(
        ("accepted", "expected"),
        [
            ("gzip", True),
            ("GZIP", True),
            ("deflate, gzip;q=0.5", True),
            ("x-gzip", True),
            ("*", True),
            ("gzip;q=0", False),
            ("gzip; q=0.000", False),
            ("gzipped", False),
            ("", False),
        ],
    )
    def test_accept_encoding_is_read_as_rfc_9110_says(self, accepted: str, expected: bool) -> None:
        assert accepts_gzip(accepted) is expected
