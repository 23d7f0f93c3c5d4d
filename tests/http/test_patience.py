"""How long each side is waited for, and what a client that leaves ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bridge.errors import BodyTimeout
from bridge.http.answer import Answer
from bridge.http.fields import AnswerFields
from bridge.http.request import Request
from bridge.http.stream import AnswerStream
from tests.http.echoing import Listening, answers_in, echo, listening
from tests.rest.waiting import until, until_still

_GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def _forever(_: Request) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("never reached")


async def _large(_: Request) -> Answer:
    return Answer(200, AnswerFields(), b"x" * 200_000)


@pytest.mark.parametrize(
    "sent",
    [b"", b"G", b"GET /a HTTP/1.1\r\nHost: x\r\n", b"\r\n\r\n", _GET + b"GET /b HT"],
    ids=["nothing", "one byte", "half a head", "empty lines", "half of the second"],
)
async def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    async with listening(head_seconds=0.1) as served:
        answer = await served.ask(sent)
        assert len(answers_in(answer)) == sent.count(b"\r\n\r\n" if sent.startswith(b"GET") else b"GET /a")


async def test_a_head_that_trickles_in_ends_the_connection() -> None:
    async with listening(head_seconds=0.2) as served:
        _, writer = await served.open()
        trickle = asyncio.create_task(_trickle(writer))
        await until(lambda: bool(served.server.connections))
        await until(lambda: not served.server.connections)
        trickle.cancel()
        writer.close()
        assert served.targets == []


async def _trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /a HTTP/1.1\r\n")
    while True:
        writer.write(b"X-A: b\r\n")
        await asyncio.sleep(0.01)


async def test_a_kept_connection_outlives_the_wait_for_heads_and_ends_after_its_own() -> None:
    async with listening(head_seconds=0.05, keep_seconds=1.0) as served:
        reader, writer = await served.open()
        started = asyncio.get_running_loop().time()
        writer.write(_GET)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert len(answers_in(answer)) == 1
        assert asyncio.get_running_loop().time() - started > 0.5
        writer.close()


async def test_a_body_that_stops_coming_is_told_to_its_reader() -> None:
    told: list[BodyTimeout] = []

    async def read(request: Request) -> Answer:
        try:
            await request.body.read()
        except BodyTimeout as error:
            told.append(error)
        return Answer(408, AnswerFields())

    async with listening(read, body_seconds=0.1) as served:
        answer = await served.ask(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        assert [status for status, _ in answers_in(answer)] == [408]
        assert b"connection: close" in answer
        assert len(told) == 1


async def test_a_body_that_comes_slowly_but_steadily_is_read() -> None:
    async with listening(body_seconds=0.5) as served:
        reader, writer = await served.open()
        writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            writer.write(b"a")
            await asyncio.sleep(0.05)
        assert b"a" * 20 in await asyncio.wait_for(reader.read(), 10)
        writer.close()


class TestClientsThatLeave:
    """What they asked for ends within a second."""

    @pytest.mark.parametrize("how", ["reset", "close"])
    async def test_the_handler_is_cancelled(self, how: str) -> None:
        async with listening(_forever) as served:
            client = _connect(served.port)
            client.sendall(_GET)
            await until(lambda: served.targets == ["/a"])
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.close()
            await asyncio.wait_for(_ends(served), 1)

    async def test_it_is_cancelled_with_other_requests_waiting_behind_it(self) -> None:
        async with listening(_forever) as served:
            client = _connect(served.port)
            client.sendall(_GET * 50)
            await until(lambda: served.targets == ["/a"])
            client.close()
            await asyncio.wait_for(_ends(served), 1)
            assert served.targets == ["/a"]

    async def test_it_is_cancelled_while_it_waits_for_the_body(self) -> None:
        async with listening() as served:
            client = _connect(served.port)
            client.sendall(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
            await until(lambda: served.targets == ["/a"])
            client.close()
            await asyncio.wait_for(_ends(served), 1)

    async def test_a_client_that_only_ends_its_own_half_is_answered(self) -> None:
        async def slowly(request: Request) -> Answer:
            await asyncio.sleep(0.02)
            return await echo(request)

        async with listening(slowly) as served:
            reader, writer = await served.open()
            writer.write(_GET)
            writer.write_eof()
            assert [status for status, _ in answers_in(await asyncio.wait_for(reader.read(), 5))] == [200]
            writer.close()

    async def test_a_stream_whose_reader_left_ends(self) -> None:
        async def stream(request: Request) -> Answer:
            out = AnswerStream(request, 200, AnswerFields())
            out.open(request)
            out.write(b"first")
            return await _forever(request)

        async with listening(stream) as served:
            client = _connect(served.port)
            client.sendall(_GET)
            await asyncio.get_running_loop().run_in_executor(None, client.recv, 10)
            client.close()
            await asyncio.wait_for(_ends(served), 1)


class TestReadersThatLag:
    """Nothing piles up for them, and those that take nothing are cut."""

    async def test_one_that_takes_nothing_is_cut(self) -> None:
        async with listening(_large, stall_seconds=0.2) as served:
            client = _connect(served.port, small=True)
            client.sendall(_GET * 20)
            await until(lambda: bool(served.server.connections))
            await until(lambda: not served.server.connections)
            client.close()

    async def test_one_that_takes_a_little_now_and_then_is_not(self) -> None:
        async with listening(_large, stall_seconds=0.4) as served:
            client = _connect(served.port, small=True)
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            loop, got = asyncio.get_running_loop(), 0
            client.setblocking(False)
            while piece := await loop.sock_recv(client, 20_000):
                got += len(piece)
                await asyncio.sleep(0.05)
            assert got > 200_000
            client.close()

    async def test_requests_behind_an_answer_that_is_not_read_wait(self) -> None:
        async with listening(_large) as served:
            client = _connect(served.port, small=True)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            sending = asyncio.create_task(loop.sock_sendall(client, _GET * 100_000))
            await until(lambda: bool(served.targets))
            await until_still(lambda: len(served.targets))
            [connection] = served.server.connections
            assert connection.transport is not None
            assert connection.transport.get_write_buffer_size() <= 300_000
            assert len(served.targets) < 100
            assert len(connection._unfed) < 500_000
            sending.cancel()
            client.close()


async def _ends(served: Listening) -> None:
    await until(lambda: bool(served.ended) and not served.server.connections, seconds=5)


def _connect(port: int, small: bool = False) -> socket.socket:
    client = socket.socket()
    if small:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    return client
