"""Streams that wait for their provider: what each takes of a worker's memory, and that none is dropped."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx2
import pytest

from tests.journeys.workers_of import workers_of
from tests.rest.waiting import until
from tests.support.provider_double import Ending, Script
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running
from tests.support.tenants import Tenant, make_tenant
from tollbridge.chat.v1 import chat_pb2, chat_service_pb2, chat_service_pb2_grpc

MODEL = "gpt-4o-mini"
EVENT_STREAMS = 500
EVENT_STREAM_KILOBYTES = 40
TYPED_STREAMS = 2000
TYPED_STREAM_KILOBYTES = 64
AT_ONCE = 100
"""Connections that are opened together: a listening socket's queue is no matter of ours."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One worker, whose provider says one word and then nothing."""
    with scratch_folder() as folder, running(folder, "--no-local-model") as product:
        product.provider.default = Script(tokens=1, interval=0.0, ending=Ending.STALL)
        yield product


@pytest.fixture(scope="module")
def tenant(served: Served) -> Tenant:
    return make_tenant(served, "100")


def resident_kilobytes(served: Served) -> float:
    """Of the worker."""
    (worker,) = workers_of(served.pid)
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * PAGE / 1024


async def event_stream(served: Served, key: str) -> asyncio.StreamWriter:
    """One stream whose first word has come."""
    asked = {"model": MODEL, "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": "Wait."}]}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(served.http).port)
    writer.write(head.encode() + body)
    answered = await reader.readuntil(b"\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 200 "), answered
    await reader.readuntil(b"t0 ")
    return writer


async def event_streams(served: Served, key: str, count: int) -> list[asyncio.StreamWriter]:
    opened: list[asyncio.StreamWriter] = []
    while len(opened) < count:
        opened += await asyncio.gather(*(event_stream(served, key) for _ in range(AT_ONCE)))
    return opened


async def closed_upstream(served: Served, first: int) -> None:
    """Returns when the provider has been left by all callers from the `first` on."""
    await until(lambda: all(request.closed is not None for request in served.provider.requests[first:]), 30)


async def settled(served: Served, key: str) -> None:
    """Returns when a call of the key is in the books: by then what counting tokens takes is loaded."""
    headers = {"Authorization": f"Bearer {key}"}
    await until(lambda: bool(httpx2.get(f"{served.http}/v1/usage/history", headers=headers).json()["events"]), 30)


async def leave(served: Served, streams: Sequence[asyncio.StreamWriter], first: int) -> None:
    for writer in streams:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in streams))
    await closed_upstream(served, first)


async def test_event_streams_that_wait_take_little_and_the_worker_still_answers(served: Served, tenant: Tenant) -> None:
    # What the first streams make for good is not theirs.
    await leave(served, await event_streams(served, tenant.key, AT_ONCE), 0)
    await settled(served, tenant.key)
    before, first = resident_kilobytes(served), len(served.provider.requests)
    streams = await event_streams(served, tenant.key, EVENT_STREAMS)
    each = (resident_kilobytes(served) - before) / EVENT_STREAMS
    print(f"{EVENT_STREAMS} event streams: {each:.1f} KB each")
    assert each <= EVENT_STREAM_KILOBYTES
    headers = {"Authorization": f"Bearer {tenant.key}"}
    assert httpx2.get(f"{served.http}/v1/models", headers=headers, timeout=30).status_code == 200
    await leave(served, streams, first)


async def test_streams_that_are_over_leave_nothing_behind(served: Served, tenant: Tenant) -> None:
    for _ in range(2):
        first = len(served.provider.requests)
        await leave(served, await event_streams(served, tenant.key, EVENT_STREAMS), first)
    before = resident_kilobytes(served)
    for _ in range(4):
        first = len(served.provider.requests)
        await leave(served, await event_streams(served, tenant.key, EVENT_STREAMS), first)
    grown = (resident_kilobytes(served) - before) / (4 * EVENT_STREAMS)
    print(f"{grown:.2f} KB stay of each stream")
    assert grown < 2


async def test_typed_streams_in_a_burst_are_all_served_and_take_little(served: Served, tenant: Tenant) -> None:
    message = chat_pb2.ChatMessage(role="user", content="Wait.")
    request = chat_service_pb2.CreateChatCompletionRequest(model=MODEL, messages=[message], max_tokens=5)
    metadata = (("authorization", f"Bearer {tenant.key}"),)
    first = len(served.provider.requests)
    before = resident_kilobytes(served)
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        stub = chat_service_pb2_grpc.ChatServiceStub(channel)
        calls = [stub.StreamChatCompletion(request, metadata=metadata) for _ in range(TYPED_STREAMS)]
        chunks = await asyncio.gather(*(call.read() for call in calls))
        assert all(isinstance(chunk, chat_pb2.ChatCompletionChunk) for chunk in chunks)
        each = (resident_kilobytes(served) - before) / TYPED_STREAMS
        print(f"{TYPED_STREAMS} typed streams: {each:.1f} KB each")
        assert each <= TYPED_STREAM_KILOBYTES
        for call in calls:
            call.cancel()
        await closed_upstream(served, first)
