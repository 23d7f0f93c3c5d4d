"""Pages for operators and readers: health, readiness, metrics, the OpenAPI document, the reference."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bridge.meters import Meters
from bridge.settings import BridgeSettings
from tests.rest.scripted import ScriptedReply, serving
from tests.rest.waiting import until

_NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


async def test_health_says_that_the_process_answers() -> None:
    async with serving(settings=BridgeSettings(version="1.2.3"), now=lambda: _NOW) as served:
        served.caller.serves = False
        status, body = await served.json("GET", "/health")
    assert status == 200
    assert body.pop("uptime_seconds") >= 0
    assert body == {
        "status": "healthy",
        "timestamp": "2026-01-31T09:30:00.000Z",
        "service": "tollbridge",
        "version": "1.2.3",
    }


@pytest.mark.parametrize(("serves", "status", "word"), [(True, 200, "ready"), (False, 503, "unavailable")])
async def test_readiness_is_the_callers_word(serves: bool, status: int, word: str) -> None:
    async with serving() as served:
        served.caller.serves = serves
        got, body = await served.json("GET", "/health/ready")
    assert (got, body["status"]) == (status, word)


async def test_metrics_count_methods_and_never_paths() -> None:
    registry = CollectorRegistry()
    async with serving(meters=Meters(registry), render_metrics=lambda: generate_latest(registry)) as served:
        await served.json("GET", "/v1/things/secret_id")
        await served.json("GET", "/v1/query?nope=1")
        await served.json("GET", "/nope/secret_id")
        async with served.client.get(f"{served.url}/metrics") as response:
            text = await response.text()
            assert response.content_type == "text/plain"
    assert 'tollbridge_http_requests_total{method="tests.forms.v1.FormsService.GetThing",status="200"} 1.0' in text
    assert 'tollbridge_http_requests_total{method="tests.forms.v1.FormsService.QueryThing",status="400"} 1.0' in text
    assert 'tollbridge_http_requests_total{method="none",status="404"} 1.0' in text
    assert "secret_id" not in text


async def test_metrics_count_clients_that_left() -> None:
    registry = CollectorRegistry()
    async with serving(lambda _: ScriptedReply([asyncio.Event().wait]), meters=Meters(registry)) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /v1/things/a HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: bool(served.caller.replies))
        writer.transport.abort()
        await asyncio.wait_for(served.caller.replies[0].closed.wait(), 5)
        await until(lambda: b'status="499"' in generate_latest(registry))


async def test_pages_that_are_not_set_up_are_404() -> None:
    async with serving() as served:
        for path in ("/metrics", "/openapi.json", "/docs"):
            assert (await served.json("GET", path))[0] == 404


async def test_the_document_and_its_page_are_served_from_here(tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps({"openapi": "3.1.0", "x": "y" * 2000}))
    async with serving(settings=BridgeSettings(openapi_path=document)) as served:
        assert await served.json("GET", "/openapi.json") == (200, json.loads(document.read_text()))
        for path, content_type in (
            ("/docs", "text/html"),
            ("/docs/start.js", "text/javascript"),
            ("/docs/scalar.js", "text/javascript"),
        ):
            async with served.client.get(served.url + path, headers={"Accept-Encoding": "gzip"}) as response:
                assert (response.status, response.content_type) == (200, content_type)
                assert b"http" not in gzip.decompress(await response.read()).partition(b"\n")[0]
                policy = response.headers["Content-Security-Policy"]
                etag = response.headers["ETag"]
            assert "connect-src 'self'" in policy
            assert "font-src 'self'" in policy
            async with served.client.get(served.url + path, headers={"If-None-Match": etag}) as response:
                assert (response.status, await response.read()) == (304, b"")


async def test_a_missing_document_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with serving(settings=BridgeSettings(openapi_path=tmp_path / "nope.json")):
            pass
