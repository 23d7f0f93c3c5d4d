"""No call lasts longer than calls may, however its provider keeps it alive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from server.chat.errors import ProviderTimeoutError
from server.chat.providers.http1.patience import Patience
from tests.chat.workbench import ModelRow, Workbench, ask, open_workbench
from tests.support.databases import TestDatabase
from tests.support.provider_double import ProviderDouble, Script

_LONGEST = timedelta(seconds=0.8)
_SOON = 3.0
_PATIENCE = Patience(connect=2.0, first_byte=2.0, idle=2.0)


@contextlib.asynccontextmanager
async def _trickle(kind: str, first: bytes, piece: bytes) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A provider that sends `first`, then `piece` every 50 ms for ever. Gives its URL and whether it was left."""
    left = asyncio.Event()
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            writer.write(head.encode() + first)
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)
        left.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", left
    finally:
        server.close()
        for task in serving:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in serving if task is not None), return_exceptions=True)


async def _times_out(bench: Workbench, streams: bool) -> None:
    with pytest.raises(ProviderTimeoutError) as failed:
        async with asyncio.timeout(_SOON):
            await bench.chat(ask(model="slow", stream=streams))
    assert "longer than calls may" in failed.value.internal


_CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


@pytest.mark.parametrize(
    ("kind", "first", "piece", "output"),
    [
        ("application/json", b"", b" ", 0),
        ("text/event-stream", b"", b": ping\n\n", 0),
        ("text/event-stream", _CHUNK, b": ping\n\n", 1),
        ("text/event-stream", _CHUNK, b"data: ", 1),
    ],
)
async def test_what_keeps_a_call_alive_does_not_make_it_longer(
    database: TestDatabase, kind: str, first: bytes, piece: bytes, output: int
) -> None:
    async with (
        _trickle(kind, first, piece) as (url, left),
        open_workbench(database, _PATIENCE, longest_call=_LONGEST) as bench,
    ):
        await bench.add_model(ModelRow(id="slow"), url)
        await _times_out(bench, kind != "application/json")
        await asyncio.wait_for(left.wait(), 1.0)
        event = await bench.event()
        assert (event.ending, event.output, event.http_status) == ("provider_failed", output, 504)
        assert await bench.spent() == event.cost


async def test_a_stream_of_text_is_ended_too(database: TestDatabase, provider: ProviderDouble) -> None:
    async with open_workbench(database, _PATIENCE, longest_call=_LONGEST) as bench:
        await bench.add_model(ModelRow(id="slow"), provider.url)
        provider.next(Script(tokens=1000, interval=0.02))
        await _times_out(bench, streams=True)
        await provider.requests[0].wait_closed(1.0)
        assert 1 <= (await bench.event()).output <= 80, "a second and a half's"


async def test_a_slow_reader_hears_the_end_of_an_answer_that_was_in_time(
    database: TestDatabase, provider: ProviderDouble
) -> None:
    async with open_workbench(database, longest_call=timedelta(seconds=1.0)) as bench:
        await bench.add_model(ModelRow(id="slow"), provider.url)
        provider.next(Script(tokens=1))
        messages = []
        async for message in bench.start(ask(model="slow", stream=True), bench.context()):
            messages.append(message.data)
            if b"[DONE]" in message.data:
                await asyncio.sleep(1.05)
        assert messages[-1].endswith(b"data: [DONE]\n\n")
        assert (await bench.event()).ending == "complete"
