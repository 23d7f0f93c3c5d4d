"""A server that reads frames and writes what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from google.protobuf.wrappers_pb2 import StringValue

from bridge.http2 import frames, hpack
from bridge.http2.call import GrpcCall
from bridge.http2.channel import Channel
from bridge.http2.dial import Dial
from bridge.http2.head import head_of

HEALTH = "/grpc.health.v1.Health/Watch"
PLAIN = Dial(tls=None, certificate_name="", keepalive_seconds=30, keepalive_timeout=30, idle_pings=True)


@dataclass(frozen=True)
class Frame:
    """One frame that the client sent."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._reader = reader
        self._writer = writer
        self.number = number
        """How many connections came before."""
        self.decoder = hpack.Decoder()
        self.health: dict[str, str] = {}
        """The fields of the client's last question for health."""

    async def greet(self, *settings: tuple[int, int]) -> None:
        """Takes the client's preface, and speaks."""
        assert await self._reader.readexactly(len(frames.PREFACE)) == frames.PREFACE
        self.send(frames.settings(settings))

    async def read(self) -> Frame:
        """The next frame."""
        head, flags, stream = frames.read_head(await self._reader.readexactly(frames.HEAD_BYTES))
        return Frame(head & 0xFF, flags, stream, await self._reader.readexactly(head >> 8))

    async def next_call(self) -> tuple[int, dict[str, str]]:
        """The next call's stream and fields; the watch of health is answered on the way."""
        while True:
            frame = await self.read()
            if frame.kind != frames.HEADERS:
                continue
            fields = dict(self.decoder.decode(frame.payload))
            if fields[":path"] != HEALTH:
                return frame.stream, fields
            self.health = fields
            self.end(frame.stream, "12", only=True)

    async def until(self, kind: int, stream: int | None = None) -> Frame:
        """The next frame of a kind."""
        while True:
            frame = await self.read()
            if frame.kind == kind and stream in {None, frame.stream}:
                return frame

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(data)

    def begin(self, stream: int, *more: tuple[str, str]) -> None:
        """An answer's head."""
        fields = ((":status", "200"), ("content-type", "application/grpc"), *more)
        self.send(frames.header_frames(stream, _block(fields)))

    def message(self, stream: int, text: str) -> None:
        """A message."""
        self.send(frames.frame(frames.DATA, 0, stream, packed(text)))

    def end(self, stream: int, code: str, *more: tuple[str, str], only: bool = False) -> None:
        """Trailers; `only`: and no head before them."""
        head = ((":status", "200"), ("content-type", "application/grpc")) if only else ()
        self.send(frames.header_frames(stream, _block((*head, ("grpc-status", code), *more)), ended=True))

    def goaway(self, last: int) -> None:
        """Farewell: calls after `last` were not looked at."""
        self.send(frames.frame(frames.GOAWAY, 0, 0, frames.word(last) + bytes(4)))


def packed(text: str) -> bytes:
    """A message as it travels."""
    raw = StringValue(value=text).SerializeToString()
    return b"\x00" + len(raw).to_bytes(4, "big") + raw


def _block(fields: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(hpack.field(*field) for field in fields)


Play = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def playing(play: Play, dial: Dial = PLAIN) -> AsyncIterator[Channel]:
    """A channel to a server that plays `play` on each connection."""
    tasks: set[asyncio.Task[None]] = set()
    number = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        peer, number = Peer(reader, writer, number), number + 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await play(peer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            # The client left, or the test is over.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    channel = Channel(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", dial)
    try:
        yield channel
    finally:
        await channel.aclose()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def call(channel: Channel, *, whole: bool = True, request: bytes = b"", seconds: float = 10) -> GrpcCall:
    """Starts a call with a deadline, so that nothing waits for ever."""
    started = GrpcCall(head_of("/s/M", "test", secure=False), request, StringValue.FromString, whole=whole)
    loop = asyncio.get_running_loop()
    started.expire_at(loop, loop.time() + seconds)
    channel.start(started)
    return started


async def text(channel: Channel) -> str:
    """The one message of a call."""
    message = await call(channel).read()
    assert isinstance(message, StringValue)
    return message.value
