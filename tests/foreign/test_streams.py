"""Streams and raw bodies of a foreign service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest

from bridge.settings import BridgeSettings
from tests.foreign.service import Served, serving

_ITEM = "foreign.workshop.v1.Item"
_BODY = "google.api.HttpBody"


def _watching(count: int, code: grpc.StatusCode | None = None) -> tuple[dict[str, Any], list[Served]]:
    """A script of `count` items and perhaps an error; the server is put into the list once it is known."""
    known: list[Served] = []

    async def watch(_: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(count):
            yield known[0].message(_ITEM, json.dumps({"uuid": str(number), "mood": "GLAD"}))
        if code is not None:
            await context.abort(code, "it broke")

    return {"Watch": watch}, known


async def _read(count: int, accept: str | None, code: grpc.StatusCode | None = None, path: str = "/v1/watch/a") -> Any:
    script, known = _watching(count, code)
    async with serving(script) as served:
        known.append(served)
        headers = {"Accept": accept} if accept else {}
        async with served.client.get(served.url + path, headers=headers) as response:
            return response.status, response.headers["Content-Type"], await response.text()


_ITEMS = ['{"uuid":"0","mood":"GLAD"}', '{"uuid":"1","mood":"GLAD"}']
_ERROR = '{"error":{"code":9,"message":"it broke","details":[]}}'


@pytest.mark.parametrize(
    ("accept", "content_type", "text"),
    [
        (None, "text/event-stream", "data: {}\n\ndata: {}\n\n"),
        ("*/*", "text/event-stream", "data: {}\n\ndata: {}\n\n"),
        ("text/event-stream, application/json;q=0.9", "text/event-stream", "data: {}\n\ndata: {}\n\n"),
        ("application/x-ndjson", "application/x-ndjson", "{}\n{}\n"),
        ("application/json", "application/json", "[{},\n{}]"),
        ("application/json;q=0.1, application/jsonl", "application/x-ndjson", "{}\n{}\n"),
    ],
)
async def test_a_stream_has_the_form_that_is_asked_for(accept: str | None, content_type: str, text: str) -> None:
    expected = text.replace("{}", "%s") % tuple(_ITEMS)
    assert await _read(2, accept) == (200, content_type, expected)


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        (None, f"data: {_ITEMS[0]}\n\nevent: error\ndata: {_ERROR}\n\n"),
        ("application/x-ndjson", f"{_ITEMS[0]}\n{_ERROR}\n"),
        ("application/json", f"[{_ITEMS[0]},\n{_ERROR}]"),
    ],
)
async def test_an_error_after_the_first_message_is_told_in_the_form(accept: str | None, text: str) -> None:
    assert await _read(1, accept, grpc.StatusCode.FAILED_PRECONDITION) == (200, accept or "text/event-stream", text)


async def test_an_error_before_the_first_message_is_a_status() -> None:
    status, _, text = await _read(0, None, grpc.StatusCode.NOT_FOUND)
    assert (status, json.loads(text)) == (404, {"code": 5, "message": "it broke", "details": []})


@pytest.mark.parametrize(("accept", "text"), [(None, ""), ("application/json", "[]"), ("application/x-ndjson", "")])
async def test_an_empty_stream_is_an_empty_answer(accept: str | None, text: str) -> None:
    status, _, answer = await _read(0, accept)
    assert (status, answer) == (200, text)


async def test_a_field_of_each_message_can_be_the_event() -> None:
    assert await _read(1, None, path="/v1/watch/a/mood") == (200, "text/event-stream", 'data: "GLAD"\n\n')


async def test_a_quiet_stream_begins_without_a_message() -> None:
    hold = asyncio.Event()
    script, known = _watching(1)
    watch = script["Watch"]

    async def late(request: Any, context: Any) -> AsyncIterator[Any]:
        await hold.wait()
        async for message in watch(request, context):
            yield message

    quiet: dict[str, Any] = {"Watch": late}
    async with serving(quiet, settings=BridgeSettings(ping_seconds=0.05)) as served:
        known.append(served)
        async with asyncio.timeout(10), served.client.get(served.url + "/v1/watch/a") as response:
            assert await response.content.readline() == b": ping\n"
            hold.set()
            assert (await response.text()).endswith(f"data: {_ITEMS[0]}\n\n")


@pytest.mark.parametrize("path", ["/v1/upload", "/v1/talk"])
async def test_a_stream_of_requests_is_not_served(path: str) -> None:
    async with serving() as served:
        status, answer = await served.json("POST", path, "{}")
    assert (status, answer["code"]) == (501, 12)
    assert "over gRPC only" in answer["message"]


async def test_raw_bodies_pass_both_ways() -> None:
    async with serving() as served:
        headers = {"Content-Type": "image/png"}
        async with served.client.post(served.url + "/v1/store", data=b"\x89PNG\x00", headers=headers) as response:
            assert (response.status, response.headers["Content-Type"]) == (200, "image/png")
            assert await response.read() == b"\x89PNG\x00"
        url = served.url + "/v1/store/folders/a/b"
        async with served.client.put(url, data=b"", headers={"Content-Type": "text/plain"}) as response:
            assert (response.headers["Content-Type"], await response.read()) == ("text/plain", b"")
        got = served.backend.requests[-1]
    assert (got.name, got.file.content_type, got.file.data) == ("folders/a/b", "text/plain", b"")


def _downloads(*parts: tuple[str, bytes], broken: bool = False, hold: asyncio.Event | None = None) -> Any:
    known: list[Served] = []

    async def download(_: Any, context: Any) -> AsyncIterator[Any]:
        for content_type, data in parts:
            message = known[0].message(_BODY)
            message.content_type, message.data = content_type, data
            yield message
            if hold is not None:
                await hold.wait()
        if broken:
            await context.abort(grpc.StatusCode.DATA_LOSS, "it broke")

    return {"Download": download}, known


async def test_a_stream_of_raw_bodies_goes_out_piece_by_piece() -> None:
    hold = asyncio.Event()
    script, known = _downloads(("text/csv", b"a,b\n"), ("", b"1,2\n"), hold=hold)
    async with serving(script) as served:
        known.append(served)
        async with served.client.get(served.url + "/v1/download/a") as response:
            assert response.headers["Content-Type"] == "text/csv"
            async with asyncio.timeout(10):
                assert await response.content.readexactly(4) == b"a,b\n"
            hold.set()
            assert await response.read() == b"1,2\n"


async def test_a_raw_stream_that_breaks_is_cut_and_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    script, known = _downloads(("text/csv", b"a,b\n"), broken=True)
    async with serving(script) as served:
        known.append(served)
        with pytest.raises(aiohttp.ClientError):
            async with served.client.get(served.url + "/v1/download/a") as response:
                await response.read()
    assert "outside its handler" not in caplog.text


async def test_raw_events_pass_as_they_are_and_an_error_is_one_more() -> None:
    script, known = _downloads(("text/event-stream", b"data: 1\n"), ("", b"\ndata: 2"), broken=True)
    async with serving(script) as served:
        known.append(served)
        async with served.client.get(served.url + "/v1/download/a") as response:
            text = await response.text()
    error = '{"error":{"code":15,"message":"it broke","details":[]}}'
    assert text == f"data: 1\n\ndata: 2\n\nevent: error\ndata: {error}\n\n"
