"""Protocol abuse, by real sockets: each is a 4xx at once, never a 500, and nothing of it reaches the server."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
import tracemalloc
import zlib
from typing import Any

import pytest

from bridge.caller import MAX_BODY_BYTES, NO_MESSAGE
from bridge.settings import BridgeSettings
from tests.rest.scripted import serving

_JSON = {"Content-Type": "application/json"}


def _request(*headers: str, body: bytes = b"", path: str = "/v1/things", http_verb: str = "POST") -> bytes:
    lines = [f"{http_verb} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/"), answer[:200]
    assert b"x-request-id: req_" in answer
    assert b'"request_id":"req_' in answer
    assert b"Traceback" not in answer
    return int(answer[9:12])


async def test_a_declared_length_over_the_limit_is_413_before_the_body() -> None:
    async with serving() as served:
        answer = await served.raw(_request(f"Content-Length: {MAX_BODY_BYTES + 1}"))
        assert _status(answer) == 413
        assert b"request_too_large" in answer


async def test_a_body_that_grows_over_the_limit_is_413() -> None:
    async def chunks() -> Any:
        for _ in range(MAX_BODY_BYTES // (1 << 20) + 1):
            yield b" " * (1 << 20)

    async with serving() as served:
        try:
            status, _ = await served.json("POST", "/v1/things", data=chunks(), headers=_JSON)
        except ConnectionError:
            return  # the answer came while the client was still sending, and its system threw it away
        assert status == 413
        assert served.caller.calls == []


async def test_a_body_at_the_limit_is_taken() -> None:
    body = b'{"id":"' + b"a" * (MAX_BODY_BYTES - 9) + b'"}'
    assert len(body) == MAX_BODY_BYTES
    async with serving() as served:
        async with served.client.post(f"{served.url}/v1/things", data=io.BytesIO(body), headers=_JSON) as response:
            assert response.status == 201
        assert len(served.caller.calls) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_stops_at_the_limit_within_a_second(encoding: str) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(256)) + packer.flush()
    async with serving() as served:
        tracemalloc.start()
        started = time.perf_counter()
        status, body = await served.json(
            "POST", "/v1/things", data=io.BytesIO(bomb), headers={**_JSON, "Content-Encoding": encoding}
        )
        assert (status, body["error"]["code"]) == (413, "request_too_large")
        assert time.perf_counter() - started < 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b'{"id":"a"}', mtime=0)),
        ("x-gzip", gzip.compress(b'{"id":"a"}', mtime=0)),
        ("GZIP", gzip.compress(b'{"id":"a"}', mtime=0)),
        ("deflate", zlib.compress(b'{"id":"a"}')),
        ("deflate", zlib.compress(b'{"id":"a"}')[2:-4]),
        ("identity", b'{"id":"a"}'),
    ],
)
async def test_packed_bodies_are_unpacked(encoding: str, packed: bytes) -> None:
    async with serving() as served:
        status, body = await served.json(
            "POST", "/v1/things", data=packed, headers={**_JSON, "Content-Encoding": encoding}
        )
        assert (status, body.get("id")) == (201, "a"), body


@pytest.mark.parametrize(
    ("encoding", "packed", "status"),
    [
        ("gzip", b"not gzip", 400),
        ("gzip", b"", 400),
        ("gzip", gzip.compress(b'{"id":"a"}', mtime=0)[:-3], 400),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"more", 400),
        ("gzip", gzip.compress(b"{}", mtime=0) + gzip.compress(b"{}", mtime=0), 400),
        ("deflate", b"\xff\xff\xff", 400),
        ("br", b"x", 415),
        ("zstd", b"x", 415),
        ("gzip, gzip", b"x", 415),
        ("nonsense", b"x", 415),
    ],
)
async def test_packing_that_cannot_be_undone_is_refused(encoding: str, packed: bytes, status: int) -> None:
    async with serving() as served:
        answer = await served.raw(
            _request(
                f"Content-Encoding: {encoding}",
                f"Content-Length: {len(packed)}",
                "Content-Type: application/json",
                body=packed,
            )
        )
        assert _status(answer) == status


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ('APPLICATION/JSON;charset="UTF-8"', 201),
        ("application/merge-patch+json", 201),
        ("application/json; charset=bogus", 400),
        ("application/json; charset=utf-16", 400),
        ("application/json; charset=latin-1", 400),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/octet-stream", 415),
        ("", 415),
        (";", 415),
    ],
)
async def test_only_json_in_utf_8_is_taken(content_type: str, status: int) -> None:
    async with serving() as served:
        answer = await served.raw(_request(f"Content-Type: {content_type}", "Content-Length: 2", body=b"{}"))
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer


_HOSTILE = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks, then something else": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before the colon": b"Content-Length : 2\r\n\r\n{}",
    "folded header": b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "negative length": b"Content-Length: -1\r\n\r\n{}",
    "length with a sign": b"Content-Length: +2\r\n\r\n{}",
    "length in hex": b"Content-Length: 0x2\r\n\r\n{}",
    "list of lengths": b"Content-Length: 2, 2\r\n\r\n{}",
    "packed chunks": b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two credentials": b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a header": b"X-A: b\x00c\r\nContent-Length: 2\r\n\r\n{}",
    "bare carriage return": b"X-A: b\rX-B: c\r\nContent-Length: 2\r\n\r\n{}",
    "wrong chunk size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "negative chunk size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("HTTP/1.0", "Host: x\r\nTransfer-Encoding: chunked"),
        ("HTTP/2.0", "Host: x\r\nContent-Length: 0"),
        ("HTTP/1.1", "Host: a b\r\nContent-Length: 0"),
    ],
)
async def test_a_request_of_another_version_or_to_no_host_is_400(version: str, headers: str) -> None:
    start = f"POST /v1/things {version}\r\nContent-Type: application/json\r\n{headers}\r\n\r\n"
    async with serving() as served:
        assert b" 400 " in (await served.raw(start.encode()))[:20]
        assert served.caller.calls == []


@pytest.mark.parametrize("name", _HOSTILE)
async def test_requests_that_proxies_read_differently_are_400(name: str) -> None:
    start = b"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with serving() as served:
        assert _status(await served.raw(start + _HOSTILE[name])) == 400
        assert served.caller.calls == []


@pytest.mark.parametrize(
    "line",
    [
        b"GET /health HTTP/9.9",
        b"GET /health",
        b"G\x00T /health HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_what_is_no_http_is_400(line: bytes) -> None:
    async with serving() as served:
        assert _status(await served.raw(line + b"\r\nHost: x\r\n\r\n")) == 400


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-{number}: {'a' * 1000}" for number in range(20)],
        ["X-A: " + "a" * 20_000],
        ["X-" + "a" * 20_000 + ": a"],
        ["X-A: " + "a" * 200_000],
        [f"X-{number}: a" for number in range(101)],
    ],
)
async def test_headers_beyond_16_kb_in_sum_or_more_than_a_hundred_are_431(headers: list[str]) -> None:
    async with serving() as served:
        assert _status(await served.raw(_request(*headers, path="/health", http_verb="GET"))) == 431


async def test_a_path_beyond_16_kb_is_431() -> None:
    async with serving() as served:
        assert _status(await served.raw(_request(path="/health?" + "a" * 20_000, http_verb="GET"))) == 431


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"inner":' * 101 + b"{}" + b"}" * 101,
        b'{"free":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"double_value":NaN}',
        b'{"double_value":Infinity}',
        b'{"double_value":1e999}',
        b'{"int64_value":' + b"9" * 5000 + b"}",
        b'{"id":"\\ud800"}',
        b'{"id":"\\u0000"}',
        b'{"id":"\xff\xfe"}',
        b'{"id":"a","id":"b"}',
        b'\xef\xbb\xbf{"id":"a"}',
        '{"id":"a"}'.encode("utf-16"),
        b'{"id":"a"',
        b"{'id':'a'}",
        b"\x00",
    ],
)
async def test_hostile_json_is_400_within_a_tenth_of_a_second(body: bytes) -> None:
    async with serving() as served:
        await served.json("GET", "/health")
        started = time.perf_counter()
        status, answer = await served.json("POST", "/v1/things", data=body, headers=_JSON)
        assert (status, answer["error"]["code"]) == (400, "invalid_request")
        assert time.perf_counter() - started < 0.1
        assert all(call.request == NO_MESSAGE for call in served.caller.calls), "asked about the caller alone"


async def test_a_hundred_levels_of_messages_are_taken() -> None:
    body = b'{"inner":' * 99 + b"{}" + b"}" * 99
    async with serving() as served:
        status, answer = await served.json("POST", "/v1/things", data=body, headers=_JSON)
        assert status == 201, answer


@pytest.mark.parametrize("name", ["Idempotency-Key", "traceparent"])
async def test_forwarded_headers_must_be_visible_ascii(name: str) -> None:
    async with serving() as served:
        assert _status(await served.raw(_request(f"{name}: é", path="/v1/things/a", http_verb="GET"))) == 400


async def test_forwarded_headers_reach_the_server_and_others_do_not() -> None:
    sent = {
        "Idempotency-Key": "k",
        "traceparent": "00-x",
        "x-stainless-os": "Linux",
        "tollbridge-origin-bin": "AAAA",
        "grpc-timeout": "1S",
        "Cookie": "a=b",
        "User-Agent": "Browser/1 (ü)",
    }
    async with serving() as served:
        await served.json("GET", "/v1/things/a", headers=sent)
        assert list(served.caller.calls[0].metadata) == [
            ("idempotency-key", "k"),
            ("traceparent", "00-x"),
            ("x-user-agent", "Browser/1 (?)"),
        ]


async def test_a_body_that_stops_coming_is_408() -> None:
    async with serving(settings=BridgeSettings(body_idle_seconds=0.1)) as served:
        assert _status(await served.raw(_request("Content-Length: 10", body=b"{"))) == 408


async def test_a_client_that_asks_first_is_told_to_send() -> None:
    async with serving() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(_request("Expect: 100-continue", "Content-Length: 10"))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"id":"a"}')
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 201 ")
        writer.close()


async def test_a_client_that_asks_first_is_not_told_to_send_what_is_refused() -> None:
    async with serving() as served:
        request = _request("Expect: 100-continue", "Content-Length: 10", path="/v1/talk")
        assert _status(await served.raw(request)) == 401


async def test_many_requests_on_one_connection_are_answered_in_order() -> None:
    async with serving() as served:
        request = b"GET /v1/things/%d HTTP/1.1\r\nHost: x\r\n%s\r\n"
        many = b"".join(request % (number, b"Connection: close\r\n" if number == 99 else b"") for number in range(100))
        answer = await served.raw(many, to_end=True)
        ids = [
            json.loads(b"{" + part.rpartition(b"\r\n\r\n{")[2])["id"] for part in answer.split(b"HTTP/1.1 200 OK")[1:]
        ]
        assert ids == [str(number) for number in range(100)]


async def test_too_much_after_the_413_does_not_hold_the_connection() -> None:
    async with serving() as served:
        answer = await served.raw(_request(f"Content-Length: {MAX_BODY_BYTES * 10}"), to_end=True)
        assert _status(answer) == 413


async def test_an_overloaded_bridge_turns_calls_away_and_still_tells_its_health() -> None:
    async with serving(overloaded=lambda: True) as served:
        async with served.client.post(f"{served.url}/v1/things", data=b"{") as response:
            body = await response.json()
            assert (response.status, body["error"]["code"]) == (503, "overloaded")
            assert response.headers["Retry-After"] == "1"
            assert body["error"]["request_id"] == response.headers["x-request-id"]
        assert served.caller.calls == []
        assert (await served.json("GET", "/health"))[0] == 200
