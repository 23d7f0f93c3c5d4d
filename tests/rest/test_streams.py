"""Server-sent events as OpenAI's clients depend on them: bytes, order, errors, silence, readers that leave or lag."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from google.rpc import error_details_pb2, status_pb2

from bridge.caller import Call, Refusal
from bridge.settings import BridgeSettings
from tests.rest.scripted import ScriptedReply, Served, Step, serving
from tests.rest.waiting import until, until_still
from tests.transcoding.forms import message_class

_GOOD = {"Authorization": "Bearer x"}
_EVENTS = "text/event-stream"


def _body(data: bytes, content_type: str = "") -> Any:
    request: Any = message_class("UploadRequest")()
    request.file.content_type = content_type
    request.file.data = data
    return request.file


def _event(data: bytes) -> Any:
    return _body(data, _EVENTS)


def _plays(*steps: Step, **metadata: Any) -> Callable[[Call], ScriptedReply]:
    return lambda _: ScriptedReply(list(steps), **metadata)


def _refusal(code: int, reason: str) -> Refusal:
    status = status_pb2.Status(code=code, message="text")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tollbridge"))
    return Refusal(code, "text", status.SerializeToString(), ())


async def _talk(served: Served, **options: Any) -> tuple[int, dict[str, str], bytes]:
    async with served.client.post(f"{served.url}/v1/talk", json={}, headers=_GOOD, **options) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read()


async def test_events_go_out_byte_for_byte() -> None:
    chunks = [b'data: {"a":1}\n\n', b'data: {"b":"\xc3\xa9"}\r\n\r\n', b"data: [DONE]\n\n"]
    async with serving(_plays(*map(_event, chunks))) as served:
        status, headers, body = await _talk(served)
        assert (status, body) == (200, b"".join(chunks))
        assert headers["content-type"] == _EVENTS
        assert headers["cache-control"] == "no-cache, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in headers
        assert headers["x-request-id"] == "req_1"
        await asyncio.wait_for(served.caller.replies[0].closed.wait(), 5)


async def test_events_are_never_packed() -> None:
    big = b"data: " + b"a" * 5000 + b"\n\n"
    async with (
        serving(_plays(_event(big))) as served,
        aiohttp.ClientSession(headers={**_GOOD, "Accept-Encoding": "gzip"}) as client,
        client.post(f"{served.url}/v1/talk", json={}) as response,
    ):
        assert "Content-Encoding" not in response.headers
        assert await response.read() == big


async def test_each_event_is_flushed_when_it_comes() -> None:
    go_on = asyncio.Event()
    async with (
        serving(_plays(_event(b"data: 1\n\n"), go_on.wait, _event(b"data: 2\n\n"))) as served,
        served.client.post(f"{served.url}/v1/talk", json={}, headers=_GOOD) as response,
    ):
        assert await asyncio.wait_for(response.content.readany(), 5) == b"data: 1\n\n"
        go_on.set()
        assert await asyncio.wait_for(response.content.readany(), 5) == b"data: 2\n\n"
        assert await response.content.read() == b""


async def test_the_first_message_decides_between_json_and_events() -> None:
    answer = [_body(b'{"a":', "application/json"), _body(b"1}")]
    trailing = [("x-ratelimit-remaining-tokens", "5"), ("x-outcome-bin", b"\x00")]
    async with serving(_plays(*answer, initial=[("openai-processing-ms", "12")], trailing=trailing)) as served:
        status, headers, body = await _talk(served)
    assert (status, headers["content-type"], body) == (200, "application/json", b'{"a":1}')
    assert headers["content-length"] == "7"
    assert headers["openai-processing-ms"] == "12"
    assert headers["x-ratelimit-remaining-tokens"] == "5"
    assert "x-outcome-bin" not in headers


async def test_nothing_is_sent_before_the_first_event() -> None:
    async with serving(_plays(_refusal(5, "MODEL_NOT_FOUND"))) as served:
        status, headers, body = await _talk(served)
        assert status == 404
        assert headers["content-type"] == "application/json"
        assert b'"code":"model_not_found"' in body


async def test_an_error_after_the_first_event_is_an_event_and_ends_the_connection() -> None:
    async with serving(_plays(_event(b"data: 1\n\n"), _refusal(14, "PROVIDER_FAILED"))) as served:
        answer = await served.raw(
            b"POST /v1/talk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}", to_end=True
        )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b'data: {"error":{"message":"text","type":"server_error"' in body
    assert b'"request_id":"req_1"' in body
    assert body.endswith(b"}\n\n\r\n0\r\n\r\n")
    assert b"[DONE]" not in body


async def test_an_error_inside_an_event_does_not_grow_into_it() -> None:
    async with serving(_plays(_event(b'data: {"half'), _refusal(14, "PROVIDER_FAILED"))) as served:
        _, _, body = await _talk(served)
    assert body.startswith(b'data: {"half\n\ndata: {"error":')


async def test_a_bug_after_the_first_event_is_an_event_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError("SELECT secret")

    async with serving(_plays(_event(b"data: 1\n\n"), broken)) as served:
        _, _, body = await _talk(served)
        assert served.caller.replies[0].closed.is_set()
    assert b'"code":"internal_error"' in body
    assert b"SELECT" not in body
    assert "SELECT secret" in caplog.text


async def test_typed_streams_are_events_of_json() -> None:
    things = [message_class("Thing")(id=text) for text in ("a", "b")]
    async with (
        serving(_plays(*things, _refusal(14, "UNAVAILABLE"))) as served,
        served.client.get(f"{served.url}/v1/things:watch?id=x") as response,
    ):
        events = (await response.read()).split(b"\n\n")
    assert events[0].startswith(b'data: {"id":"a"')
    assert events[1].startswith(b'data: {"id":"b"')
    assert events[2].startswith(b'data: {"error":')
    assert events[3:] == [b""]


async def test_a_typed_stream_of_nothing_is_an_empty_stream() -> None:
    async with serving(_plays()) as served, served.client.get(f"{served.url}/v1/things:watch") as response:
        assert (response.status, response.content_type, await response.read()) == (200, _EVENTS, b"")


async def test_head_of_a_stream_has_no_body() -> None:
    things = [message_class("Thing")(id="a")]
    async with serving(_plays(*things)) as served:
        answer = await served.raw(
            b"HEAD /v1/things:watch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", to_end=True
        )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


async def test_http_1_0_clients_get_eventsuntil_the_connection_ends() -> None:
    async with serving(_plays(_event(b"data: 1\n\n"), _event(b"data: [DONE]\n\n"))) as served:
        answer = await served.raw(
            b"POST /v1/talk HTTP/1.0\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}", to_end=True
        )
    assert b"chunked" not in answer
    assert answer.endswith(b"\r\n\r\ndata: 1\n\ndata: [DONE]\n\n")


class TestSilence:
    """Keep-alives say that a stream lives, and never break an event."""

    async def _first_bytes(self, *steps: Step) -> bytes:
        async with (
            serving(_plays(*steps), BridgeSettings(ping_seconds=0.02)) as served,
            served.client.post(f"{served.url}/v1/talk", json={}, headers=_GOOD) as response,
        ):
            data = b""
            while data.count(b"\n") < 5:
                data += await asyncio.wait_for(response.content.readany(), 5)
            return data

    async def test_silence_after_the_first_event_is_broken_by_pings(self) -> None:
        data = await self._first_bytes(_event(b"data: 1\n\n"), asyncio.Event().wait)
        assert data.startswith(b"data: 1\n\n: ping\n: ping\n")

    async def test_silence_before_the_first_event_is_not(self) -> None:
        waited = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.2, waited.set_result, None)

        async def wait() -> None:
            await waited

        data = await self._first_bytes(wait, _event(b"data: 1\n\ndata: 2\n\ndata: 3\n\n"))
        assert data.startswith(b"data: 1\n\n")

    async def test_no_ping_stands_inside_an_event(self) -> None:
        waited = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.2, waited.set_result, None)

        async def wait() -> None:
            await waited

        data = await self._first_bytes(_event(b"data: ha"), wait, _event(b"lf\n\n\n\n\n"))
        assert data.startswith(b"data: half\n\n\n\n\n")


class TestReaders:
    """Readers that leave end the call; readers that lag hold it back; readers that stop are cut."""

    @pytest.mark.parametrize("events", [0, 1, 3])
    async def test_a_reader_that_leaves_ends_the_call_at_once(self, events: int) -> None:
        steps: list[Step] = [_event(b"data: %d\n\n" % number) for number in range(events)]
        async with serving(_plays(*steps, asyncio.Event().wait)) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(b"POST /v1/talk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}")
            if events:
                await asyncio.wait_for(reader.readuntil(b"data: %d" % (events - 1)), 5)
            else:
                await until(lambda: bool(served.caller.replies))
            writer.transport.abort()
            await asyncio.wait_for(served.caller.replies[0].closed.wait(), 1)

    async def test_a_reader_that_lags_holds_the_call_back(self) -> None:
        size, many = 16_384, 4_000
        steps: list[Step] = [_event(b"x" * size) for _ in range(many)]
        async with serving(_plays(*steps)) as served:
            lagging = _connect_small(served.port)
            lagging.sendall(
                b"POST /v1/talk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}"
            )
            await until(lambda: bool(served.caller.replies))
            reply = served.caller.replies[0]
            await until_still(lambda: reply.delivered)
            ours = sum(transport.get_write_buffer_size() for transport in _transports(served))
            assert reply.delivered < many
            assert ours <= 64 * 1024 + 2 * size
            lagging.close()
            await asyncio.wait_for(reply.closed.wait(), 5)

    async def test_a_reader_that_stops_is_cut(self) -> None:
        steps: list[Step] = [_event(b"x" * 16_384) for _ in range(4_000)]
        async with serving(_plays(*steps), BridgeSettings(stall_seconds=0.1)) as served:
            stopped = _connect_small(served.port)
            stopped.sendall(
                b"POST /v1/talk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}"
            )
            await until(lambda: bool(served.caller.replies))
            await asyncio.wait_for(served.caller.replies[0].closed.wait(), 10)
            stopped.close()

    async def test_a_whole_answer_that_nobody_reads_is_cut_too(self) -> None:
        async with serving(_plays(_body(b"x" * (32 << 20), "text/plain")), BridgeSettings(stall_seconds=0.1)) as served:
            stopped = _connect_small(served.port)
            stopped.sendall(
                b"POST /v1/talk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}"
            )
            await until(lambda: bool(_transports(served)))
            await until(lambda: not _transports(served))
            stopped.close()


def _connect_small(port: int) -> socket.socket:
    """A connection whose reader takes little before it must read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    return connection


def _transports(served: Served) -> list[Any]:
    server = served.bridge._server
    assert server is not None
    return [connection.transport for connection in server.connections if connection.transport is not None]
