"""How long the bridge waits for each side, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from bridge.caller import Call
from bridge.settings import BridgeSettings
from tests.rest.scripted import ScriptedReply, Step, request_of, serving
from tests.rest.test_streams import _event
from tests.rest.waiting import until
from tests.transcoding.forms import message_class

_TALK = b"POST /v1/talk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}"
_HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHos"])
async def test_headers_that_do_not_come_end_the_connection(sent: bytes) -> None:
    async with serving(settings=BridgeSettings(header_seconds=0.1)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(sent)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()


async def test_headers_that_trickle_in_end_the_connection() -> None:
    async with serving(settings=BridgeSettings(header_seconds=0.2)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"}"), 5)
        started = asyncio.get_running_loop().time()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(5):
                writer.write(b"GET /health HTTP/1.1\r\nX-A: ")
                while True:
                    writer.write(b"a")
                    try:
                        async with asyncio.timeout(0.02):
                            await reader.readexactly(1)
                    except TimeoutError:
                        continue
        assert asyncio.get_running_loop().time() - started < 2
        writer.close()


async def test_an_idle_connection_outlives_the_wait_for_headers() -> None:
    async with serving(settings=BridgeSettings(header_seconds=0.05)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(2):
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"}"), 5)).startswith(b"HTTP/1.1 200")
            idle = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.2, idle.set_result, None)
            await idle
        writer.close()


async def test_an_idle_connection_ends_after_keep_alive() -> None:
    async with serving(settings=BridgeSettings(keep_alive_seconds=0.1)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"healthy" in await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_a_unary_call_ends_with_its_client() -> None:
    async with serving(lambda _: ScriptedReply([asyncio.Event().wait])) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /v1/things/a HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: bool(served.caller.replies))
        writer.transport.abort()
        await asyncio.wait_for(served.caller.replies[0].closed.wait(), 1)


class TestStop:
    """Stopping takes no new connections and lets what runs end."""

    async def test_a_call_that_runs_is_answered(self) -> None:
        go_on = asyncio.Event()

        def script(call: Call) -> ScriptedReply:
            return ScriptedReply([go_on.wait, request_of(call)])

        async with serving(script) as served:
            asked = asyncio.create_task(served.json("GET", "/v1/things/a"))
            await until(lambda: bool(served.caller.calls))
            stopping = asyncio.create_task(served.bridge.stop(10))
            await until(lambda: _refuses_connections(served.port))
            go_on.set()
            status, _ = await asked
            assert status == 200
            await asyncio.wait_for(stopping, 5)

    async def test_a_stream_that_does_not_end_is_told(self) -> None:
        steps: list[Step] = [_event(b"data: 1\n\n"), asyncio.Event().wait]
        async with serving(lambda _: ScriptedReply(steps)) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(_TALK)
            await asyncio.wait_for(reader.readuntil(b"data: 1\n\n"), 5)
            await asyncio.wait_for(served.bridge.stop(0.1), 5)
            rest = await asyncio.wait_for(reader.read(), 5)
            assert b'data: {"error":{"message":"The server restarts. Try again."' in rest
            assert b'"code":"shutting_down"' in rest
            assert served.caller.replies[0].closed.is_set()
            writer.close()

    async def test_a_call_that_does_not_end_is_told(self) -> None:
        async with serving(lambda _: ScriptedReply([asyncio.Event().wait])) as served:
            asked = asyncio.create_task(served.json("GET", "/v1/things/a"))
            await until(lambda: bool(served.caller.replies))
            started = asyncio.get_running_loop().time()
            await asyncio.wait_for(served.bridge.stop(0.1), 5)
            assert asyncio.get_running_loop().time() - started < 2
            status, body = await asked
            assert (status, body["error"]["code"]) == (503, "shutting_down")
            assert served.caller.replies[0].closed.is_set()

    async def test_an_idle_connection_does_not_hold_it(self) -> None:
        async with serving() as served:
            await served.json("GET", "/health")
            started = asyncio.get_running_loop().time()
            await served.bridge.stop(30)
            assert asyncio.get_running_loop().time() - started < 5

    async def test_a_client_that_keeps_its_connection_busy_loses_no_request_and_is_told_to_leave(self) -> None:
        async with serving() as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(_HEALTH)
            assert b"connection: close" not in (await asyncio.wait_for(reader.readuntil(b"}"), 5)).lower()
            stopping = asyncio.create_task(served.bridge.stop(10))
            await until(lambda: _refuses_connections(served.port))
            writer.write(_HEALTH)
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer.lower()
            await asyncio.wait_for(stopping, 1)
            writer.close()

    async def test_a_stream_that_began_before_leaves_its_connection_usable_once_more(self) -> None:
        go_on = asyncio.Event()

        async with serving(lambda _: ScriptedReply([_event(b"data: 1\n\n"), go_on.wait])) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(_TALK)
            await asyncio.wait_for(reader.readuntil(b"data: 1\n\n"), 5)
            stopping = asyncio.create_task(served.bridge.stop(10))
            await until(lambda: _refuses_connections(served.port))
            go_on.set()
            await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
            writer.write(_HEALTH)
            assert b"connection: close" in (await asyncio.wait_for(reader.read(), 5)).lower()
            await asyncio.wait_for(stopping, 1)
            writer.close()

    async def test_a_bridge_that_never_started_stops(self) -> None:
        async with serving() as served:
            await served.bridge.stop(0)
            await served.bridge.stop(0)


async def test_a_socket_that_listens_already_is_served() -> None:
    answered: list[Any] = []

    def script(call: Call) -> ScriptedReply:
        answered.append(call)
        return ScriptedReply([message_class("Thing")()])

    async with serving(script) as served:
        await served.bridge.stop(0)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        await served.bridge.start(listening)
        port = listening.getsockname()[1]
        async with served.client.get(f"http://127.0.0.1:{port}/v1/things/a") as response:
            assert response.status == 200


def _refuses_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
