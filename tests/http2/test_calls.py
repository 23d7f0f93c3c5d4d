"""What a server may say, and what becomes of the call."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import replace

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from bridge.caller import Refusal
from bridge.http2 import frames, hpack
from tests.http2.raw_server import PLAIN, Peer, call, packed, playing, text
from tests.rest.waiting import until


async def answer(peer: Peer, said: str = "hello") -> None:
    """Greets, and answers every call."""
    await peer.greet()
    while True:
        stream, _ = await peer.next_call()
        peer.begin(stream)
        peer.message(stream, said)
        peer.end(stream, "0")


async def refused(play: Callable[[Peer, int], object]) -> Refusal:
    """How a call ends whose server, after its greeting, does `play` with the stream's number."""

    async def whole(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.next_call()
        play(peer, stream)
        await peer.read()

    async with playing(whole) as channel:
        with pytest.raises(Refusal) as caught:
            await text(channel)
    return caught.value


async def test_a_call_says_what_grpc_wants_and_is_answered() -> None:
    seen: list[dict[str, str]] = []

    async def play(peer: Peer) -> None:
        await peer.greet()
        stream, fields = await peer.next_call()
        seen.extend((fields, peer.health))
        body = await peer.until(frames.DATA)
        assert body.flags & frames.END_STREAM
        assert body.payload == b"\x00\x00\x00\x00\x03abc"
        peer.begin(stream, ("x-first", "1"), ("x-raw-bin", "AP8"))
        peer.message(stream, "hello")
        peer.end(stream, "0", ("x-last", "2"))
        await peer.read()

    async with playing(play) as channel:
        started = call(channel, request=b"abc")
        assert await started.read() == StringValue(value="hello")
        assert await started.read() is None
        assert list(await started.initial_metadata()) == [("x-first", "1"), ("x-raw-bin", b"\x00\xff")]
        assert list(started.trailing_metadata()) == [("x-last", "2")]
    assert seen[0].items() >= {":method": "POST", ":path": "/s/M", "te": "trailers", ":scheme": "http"}.items()
    assert seen[0]["content-type"] == "application/grpc"
    assert seen[1][":authority"].startswith("127.0.0.1:")


def _head(*fields: tuple[str, str], ended: bool = True) -> Callable[[Peer, int], None]:
    block = b"".join(hpack.field(*field) for field in fields)
    return lambda peer, stream: peer.send(frames.header_frames(stream, block, ended))


def _reset(code: int) -> Callable[[Peer, int], None]:
    return lambda peer, stream: peer.send(frames.frame(frames.RST_STREAM, 0, stream, frames.word(code)))


@pytest.mark.parametrize(
    ("play", "code"),
    [
        (lambda peer, stream: peer.end(stream, "5", ("grpc-message", "not%20here"), only=True), 5),
        (lambda peer, stream: peer.end(stream, "99", only=True), 2),
        (lambda peer, stream: peer.end(stream, "x", only=True), 2),
        (_head((":status", "404")), 12),
        (_head((":status", "503"), ("content-type", "text/html")), 14),
        (_head((":status", "200"), ("content-type", "text/html")), 2),
        (_head((":status", "200"), ("content-type", "application/grpc")), 2),
        (_reset(8), 1),
        (_reset(11), 8),
        (_reset(2), 13),
        (lambda peer, stream: peer.message(stream, "early"), 13),
        (lambda peer, stream: (peer.begin(stream), peer.begin(stream)), 13),
    ],
)
async def test_an_ending_that_is_none_of_success(play: Callable[[Peer, int], object], code: int) -> None:
    assert (await refused(play)).code == code


async def test_a_message_s_text_is_told_and_a_message_cut_short_is_none() -> None:
    def fail(peer: Peer, stream: int) -> None:
        peer.end(stream, "5", ("grpc-message", "nicht%20da%20%E2%98%83"), only=True)

    told = await refused(fail)
    assert told.message == "nicht da ☃"

    def cut(peer: Peer, stream: int) -> None:
        peer.begin(stream)
        peer.send(frames.frame(frames.DATA, 0, stream, packed("hello")[:-1]))
        peer.end(stream, "0")

    assert (await refused(cut)).code == 13


async def test_a_message_larger_than_allowed_is_refused_before_it_comes() -> None:
    def large(peer: Peer, stream: int) -> None:
        peer.begin(stream)
        peer.send(frames.frame(frames.DATA, 0, stream, b"\x00\x7f\xff\xff\xff"))

    assert (await refused(large)).code == 8


@pytest.mark.parametrize("size", [1, 7, 4000])
async def test_messages_come_out_whole_however_they_were_cut(size: int) -> None:
    said = ["", "a", "b" * 300, "c" * 9000, ""]
    stream_bytes = b"".join(map(packed, said))

    async def play(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.next_call()
        peer.begin(stream)
        for start in range(0, len(stream_bytes), size):
            part = stream_bytes[start : start + size]
            padded = frames.frame(frames.DATA, frames.PADDED, stream, b"\x02" + part + b"\x00\x00")
            peer.send(padded if start % 3 == 0 else frames.frame(frames.DATA, 0, stream, part))
        peer.end(stream, "0")
        while True:
            await peer.read()

    async with playing(play) as channel:
        started, found = call(channel, whole=False), []
        while isinstance(message := await started.read(), StringValue):
            found.append(message.value)
    assert found == said


async def test_packed_messages_are_unpacked() -> None:
    raw = gzip.compress(StringValue(value="x" * 5000).SerializeToString())

    async def play(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.next_call()
        peer.begin(stream, ("grpc-encoding", "gzip"))
        peer.send(frames.frame(frames.DATA, 0, stream, b"\x01" + len(raw).to_bytes(4, "big") + raw))
        peer.end(stream, "0")
        await peer.read()

    async with playing(play) as channel:
        assert await text(channel) == "x" * 5000


async def test_a_request_waits_for_the_server_s_windows() -> None:
    request = bytes(range(256)) * 1000
    got = bytearray()

    async def play(peer: Peer) -> None:
        await peer.greet((frames.INITIAL_WINDOW_SIZE, 1000))
        stream, _ = await peer.next_call()
        while True:
            frame = await peer.until(frames.DATA)
            got.extend(frame.payload)
            if frame.flags & frames.END_STREAM:
                break
            assert len(frame.payload) <= 1000
            for number in (0, stream):
                peer.send(frames.frame(frames.WINDOW_UPDATE, 0, number, frames.word(len(frame.payload))))
        peer.end(stream, "0", only=True)
        await peer.read()

    async with playing(play) as channel:
        # The settings must have come: before them a client may send as much as the first window lets it.
        await call(channel, request=request).read()
    assert bytes(got[5:]) == request


async def test_what_a_server_did_not_look_at_is_sent_again() -> None:
    async def play(peer: Peer) -> None:
        if peer.number == 0:
            await peer.greet()
            stream, _ = await peer.next_call()
            peer.send(frames.frame(frames.RST_STREAM, 0, stream, frames.word(7)))
            stream, _ = await peer.next_call()
            peer.goaway(stream - 2)
            await peer.read()
            return
        await answer(peer)

    async with playing(play) as channel:
        assert await text(channel) == "hello"


async def test_a_call_is_not_sent_again_for_ever() -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        while True:
            stream, _ = await peer.next_call()
            peer.send(frames.frame(frames.RST_STREAM, 0, stream, frames.word(7)))

    async with playing(play) as channel:
        with pytest.raises(Refusal) as caught:
            await text(channel)
    assert caught.value.code == 14


async def test_calls_that_run_end_on_a_connection_that_takes_no_more() -> None:
    async def play(peer: Peer) -> None:
        if peer.number:
            await answer(peer, "second")
        await peer.greet()
        stream, _ = await peer.next_call()
        peer.begin(stream)
        peer.goaway(stream)
        await peer.until(frames.PING)
        peer.message(stream, "first")
        peer.end(stream, "0")
        await peer.read()

    hasty = replace(PLAIN, keepalive_seconds=0.3)
    async with playing(play, hasty) as channel:
        first = call(channel)
        await asyncio.sleep(0)
        assert await first.read() == StringValue(value="first")
        assert await text(channel) == "second"


async def test_calls_beyond_what_a_server_takes_wait_for_their_turn() -> None:
    most = 0

    async def play(peer: Peer) -> None:
        nonlocal most
        await peer.greet((frames.MAX_CONCURRENT_STREAMS, 2))
        opened: list[int] = []
        for _ in range(6):
            stream, _ = await peer.next_call()
            opened.append(stream)
            most = max(most, len(opened))
            if len(opened) == 2:
                for number in opened:
                    peer.end(number, "0", only=True)
                opened.clear()
        await peer.read()

    async with playing(play) as channel:
        assert await asyncio.gather(*(call(channel).read() for _ in range(6))) == [None] * 6
    assert most == 2


async def test_a_connection_without_a_word_is_given_up() -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        await peer.next_call()
        await asyncio.Event().wait()

    async with playing(play, replace(PLAIN, keepalive_seconds=0.1, keepalive_timeout=0.1)) as channel:
        with pytest.raises(Refusal) as caught:
            await call(channel, whole=False).read()
    assert (caught.value.code, caught.value.message) == (14, "The connection to the server was lost.")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frames.frame(frames.PING, 0, 0, bytes(8)),
    ],
)
async def test_a_server_of_another_protocol_is_none(data: bytes) -> None:
    async def play(peer: Peer) -> None:
        peer.send(data)
        await peer.read()

    async with playing(play) as channel:
        with pytest.raises(Refusal) as caught:
            await text(channel)
    assert caught.value.code == 14
    assert "does not speak HTTP/2" in caught.value.message


def _continued(stream: int) -> bytes:
    return frames.frame(frames.CONTINUATION, 0, stream, bytes(16_000))


@pytest.mark.parametrize(
    "broken",
    [
        lambda stream: b"\xff\xff\xff\x00\x00" + stream.to_bytes(4, "big"),
        lambda stream: frames.frame(frames.PUSH_PROMISE, 0, stream, bytes(4)),
        lambda stream: frames.frame(frames.SETTINGS, 0, 0, bytes(5)),
        lambda stream: frames.frame(frames.RST_STREAM, 0, stream, bytes(3)),
        lambda stream: frames.frame(frames.CONTINUATION, 0, stream, b""),
        lambda stream: frames.frame(frames.HEADERS, 0, stream, b"") + frames.frame(frames.PING, 0, 0, bytes(8)),
        lambda stream: frames.frame(frames.HEADERS, frames.END_HEADERS, stream, b"\x80"),
        lambda stream: frames.frame(frames.HEADERS, 0, stream) + _continued(stream) * 5,
        lambda stream: frames.frame(frames.WINDOW_UPDATE, 0, 0, frames.word(2**31 - 1)),
        lambda stream: frames.frame(frames.DATA, frames.PADDED, stream, b"\x09a"),
    ],
)
async def test_a_server_that_breaks_the_protocol_loses_the_connection(broken: Callable[[int], bytes]) -> None:
    async def play(peer: Peer) -> None:
        if peer.number:
            await answer(peer)
        await peer.greet()
        stream, _ = await peer.next_call()
        peer.begin(stream)
        peer.send(broken(stream))
        while True:
            await peer.read()

    async with playing(play) as channel:
        with pytest.raises(Refusal) as caught:
            await call(channel, whole=False).forward(lambda message: None)
        assert caught.value.code == 14
        assert await text(channel) == "hello", "the next call has a connection of its own"


async def test_leaving_a_call_tells_the_server_and_spares_the_others() -> None:
    left = asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.greet()
        first, _ = await peer.next_call()
        second, _ = await peer.next_call()
        reset = await peer.until(frames.RST_STREAM, first)
        assert frames.read_word(reset.payload) == 8
        left.set()
        # What was on its way is nobody's, and does no harm.
        peer.begin(first, ("x-new", "1"))
        peer.message(first, "late")
        peer.begin(second)
        peer.message(second, "hello")
        peer.end(second, "0")
        await peer.read()

    async with playing(play) as channel:
        first, second = call(channel, whole=False), call(channel)
        reading = asyncio.create_task(second.read())
        await asyncio.sleep(0.05)
        await first.aclose()
        await asyncio.wait_for(left.wait(), 5)
        assert await reading == StringValue(value="hello")


async def test_a_reader_that_is_behind_holds_the_server_back() -> None:
    credit = 0

    async def play(peer: Peer) -> None:
        nonlocal credit
        await peer.greet()
        stream, _ = await peer.next_call()
        peer.begin(stream)
        for _ in range(4):
            peer.message(stream, "x" * 16_000)
        while True:
            frame = await peer.until(frames.WINDOW_UPDATE, stream)
            credit += frames.read_word(frame.payload)

    async with playing(play) as channel:
        started = call(channel, whole=False)
        await started.read()
        await asyncio.sleep(0.05)
        assert credit == 0
        for _ in range(3):
            await started.read()
        await until(lambda: credit > 64_000)
        await started.aclose()


async def test_a_server_that_sends_more_than_it_may_loses_the_connection() -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.next_call()
        peer.begin(stream)
        for _ in range(5):
            peer.message(stream, "x" * 16_000)
        await peer.until(frames.GOAWAY)

    async with playing(play) as channel:
        started = call(channel, whole=False)
        await until(lambda: started.ended)
        for _ in range(4):
            await started.read()
        with pytest.raises(Refusal) as caught:
            await started.read()
    assert caught.value.code == 14
