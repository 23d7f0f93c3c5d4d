"""How answers are written, which of them keep the connection, and what is read ahead."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from bridge.http.answer import Answer, BrokenHeadError, write_head
from bridge.http.fields import AnswerFields
from bridge.http.request import Request
from bridge.http.stream import AnswerStream
from tests.http.echoing import answers_in, echo, listening
from tests.rest.waiting import until, until_still

_ASKING = b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
_CLOSE = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def _refuse(_: Request) -> Answer:
    return Answer(401, AnswerFields({"content-type": "text/plain"}), b"no")


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", "", True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "Close", False),
        ("1.1", "keep-alive, close", False),
        ("1.0", "", False),
        ("1.0", "keep-alive", True),
        ("1.0", "Keep-Alive", True),
        ("1.0", "close", False),
    ],
)
async def test_the_connection_stays_as_both_versions_say(version: str, connection: str, stays: bool) -> None:
    line = f"Connection: {connection}\r\n" if connection else ""
    async with listening() as served:
        answer = await served.ask(f"GET /a HTTP/{version}\r\nHost: x\r\n{line}\r\n".encode() + _CLOSE)
    assert len(answers_in(answer)) == (2 if stays else 1)
    head = answer.partition(b"\r\n\r\n")[0]
    assert (b"connection: close" in head) is not stays
    assert (b"connection: keep-alive" in head) is (stays and version == "1.0")


async def test_an_answer_says_its_length_and_when_it_was_written() -> None:
    async with listening(_refuse) as served:
        answer = await served.ask(_CLOSE)
    assert answer == (
        b"HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
        b"content-length: 2\r\nconnection: close\r\n\r\nno"
    )


async def test_head_gets_the_head_alone() -> None:
    async with listening(_refuse) as served:
        answer = await served.ask(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + _CLOSE)
    assert answer.count(b"content-length: 2\r\n") == 2
    assert answer.count(b"\r\n\r\nno") == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body(status: int) -> None:
    async def nothing(_: Request) -> Answer:
        return Answer(status, AnswerFields())

    async with listening(nothing) as served:
        assert b"content-length" not in await served.ask(_CLOSE)


class TestBodiesThatNobodyReads:
    """Short ones are thrown away, long ones end the connection, and the answer is read either way."""

    @pytest.mark.parametrize("size", [1, 60_000])
    async def test_a_short_one_leaves_the_connection(self, size: int) -> None:
        async with listening(_refuse) as served:
            head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
            reader, writer = await served.open()
            writer.write(head)
            assert (await asyncio.wait_for(reader.readuntil(b"no"), 5)).startswith(b"HTTP/1.1 401")
            writer.write(b"x" * size + _CLOSE)
            assert len(answers_in(await asyncio.wait_for(reader.read(), 5))) == 1
            assert served.targets == ["/a", "/last"]
            writer.close()

    @pytest.mark.parametrize("framing", [b"Content-Length: 10000000", b"Transfer-Encoding: chunked"])
    async def test_a_long_one_ends_it_and_the_answer_still_arrives(self, framing: bytes) -> None:
        async with listening(_refuse) as served:
            reader, writer = await served.open()
            writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
            answer = await asyncio.wait_for(reader.readuntil(b"no"), 5)
            assert b"connection: close" in answer
            writer.write(b"x" * 1_000_000)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    async def test_little_of_it_is_taken_from_the_socket(self) -> None:
        go_on = asyncio.Event()

        async def wait(_: Request) -> Answer:
            await go_on.wait()
            return Answer(200, AnswerFields())

        async with listening(wait) as served:
            _, writer = await served.open()
            writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n")
            tracemalloc.start()
            sending = asyncio.create_task(_send(writer, b"x" * 30_000_000))
            await until(lambda: bool(served.targets))
            [connection] = served.server.connections
            await until_still(lambda: connection._request.body.size if connection._request else 0)
            assert connection._request is not None
            assert connection._request.body.size < 1_000_000
            tracemalloc.stop()
            sending.cancel()
            writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


class TestClientsThatAskFirst:
    """`Expect: 100-continue` is answered once somebody wants the body."""

    async def test_they_are_told_to_send(self) -> None:
        async with listening() as served:
            reader, writer = await served.open()
            writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
            assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"ok" + _CLOSE)
            assert len(answers_in(await asyncio.wait_for(reader.read(), 5))) == 2
            writer.close()

    async def test_those_that_are_refused_lose_the_connection_as_nobody_knows_what_they_send_next(self) -> None:
        async with listening(_refuse) as served:
            answer = await served.ask(_ASKING + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 401")
            assert b"connection: close" in answer

    async def test_those_that_send_at_once_are_not_told(self) -> None:
        async with listening() as served:
            head = _ASKING + b"Connection: close\r\n\r\n"
            assert (await served.ask(head + b"ok")).startswith(b"HTTP/1.1 200")


async def test_pipelined_requests_wait_in_bounded_number() -> None:
    go_on = asyncio.Event()

    async def wait(_: Request) -> Answer:
        await go_on.wait()
        return Answer(200, AnswerFields(), b"ok")

    async with listening(wait) as served:
        reader, writer = await served.open()
        small = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(small * 10_000 + _CLOSE)
        await until(lambda: bool(served.targets))
        [connection] = served.server.connections
        await until_still(lambda: len(connection._unfed))
        assert len(connection._parser.requests) < 1_000
        assert len(connection._unfed) <= 400_000
        go_on.set()
        answers = await asyncio.wait_for(reader.read(), 30)
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 10_001
        writer.close()


class TestHeadsThatWouldSplit:
    """A value never begins a line of its own."""

    @pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "a\r\n\r\n<html>", "€"])
    def test_they_are_not_written(self, value: str) -> None:
        for name, text in (("x-a", value), (value, "b")):
            with pytest.raises(BrokenHeadError):
                write_head(200, AnswerFields({name: text}), "now", "")
            further = AnswerFields({"x-a": "a"})
            further.more = ((name, text),)
            with pytest.raises(BrokenHeadError):
                write_head(200, further, "now", "")

    async def test_the_connection_ends_without_them(self, caplog: pytest.LogCaptureFixture) -> None:
        async def split(_: Request) -> Answer:
            return Answer(200, AnswerFields({"x-a": "b\r\nSet-Cookie: c"}))

        async with listening(split) as served:
            reader, writer = await served.open()
            writer.write(_CLOSE)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
            writer.close()
        assert "Set-Cookie" not in caplog.text or "line's end" in caplog.text


class TestStreams:
    """Chunks for HTTP/1.1, the connection's end for HTTP/1.0."""

    @staticmethod
    async def _stream(request: Request) -> Answer:
        out = AnswerStream(request, 200, AnswerFields())
        out.open(request)
        for piece in (b"one", b"", b"two"):
            behind = out.write(piece)
            if behind is not None:
                await behind
        out.end()
        out.end()
        return out.answer

    async def test_pieces_are_chunks_and_the_connection_stays(self) -> None:
        async with listening(self._stream) as served:
            answer = await served.ask(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + _CLOSE)
        assert answer.count(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") == 2
        assert answer.count(b"transfer-encoding: chunked") == 2
        assert b"content-length" not in answer

    async def test_http_1_0_reads_to_the_end(self) -> None:
        async with listening(self._stream) as served:
            answer = await served.ask(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert answer.endswith(b"connection: close\r\n\r\nonetwo")


async def test_websocket_can_take_the_connection_over() -> None:
    got: list[bytes] = []

    class Other(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            got.append(data)

    async def take(request: Request) -> Answer:
        if not request.upgrades:
            return await echo(request)
        transport = request.connection.transport
        assert transport is not None
        got.append(request.connection.hand_over(Other()))
        transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        return Answer(101, AnswerFields(), sent=True)

    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with listening(take) as served:
        reader, writer = await served.open()
        writer.write(head + b"\x81")
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.write(b"\x05hello")
        await until(lambda: b"".join(got) == b"\x81\x05hello")
        assert not served.server.connections
        writer.close()


async def test_websocket_that_nobody_takes_over_is_a_request_like_others_and_the_last() -> None:
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with listening() as served:
        answer = await served.ask(head + b"\x81\x05hello")
    assert [status for status, _ in answers_in(answer)] == [200]
    assert b"connection: close" in answer
